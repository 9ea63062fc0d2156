package store

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/gatewright/gatewright/config"
)

// plainSize is up to which size contents are kept as they are, so that people
// can read them with the store's own tools. What is larger is compressed: a
// config shrinks to a tenth or so, and etcd and Consul take 1.5 MiB and 512 KiB.
const plainSize = 64 << 10

var gzipMagic = []byte{0x1f, 0x8b}

// encoded is how a content is kept.
func encoded(data []byte) []byte {
	// What looks as if it were compressed is, too: decoded undoes one layer.
	if len(data) <= plainSize && !bytes.HasPrefix(data, gzipMagic) {
		return data
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic("store: compressing into memory: " + err.Error()) // neither the level nor a Buffer fails
	}
	return b.Bytes()
}

// decoded is the content that is kept as raw: gzip is told by its magic, no
// text begins so. A content larger than config.MaxSize is an error.
func decoded(raw []byte) ([]byte, error) {
	data := raw
	if bytes.HasPrefix(raw, gzipMagic) {
		r, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("decompressing: %w", err)
		}
		data, err = io.ReadAll(io.LimitReader(r, config.MaxSize+1))
		if err != nil {
			return nil, fmt.Errorf("decompressing: %w", err)
		}
	}
	if len(data) > config.MaxSize {
		return nil, fmt.Errorf("%w: must have at most %d bytes", ErrTooLarge, config.MaxSize)
	}
	return data, nil
}

// checkedContent refuses what no store takes.
func checkedContent(data []byte) error {
	switch {
	case len(data) == 0:
		return errors.New("the config is empty")
	case len(data) > config.MaxSize:
		return fmt.Errorf("%w: it has %d bytes, must have at most %d", ErrTooLarge, len(data), config.MaxSize)
	}
	return nil
}

// hashOf is Version.Hash of a content.
func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
