// Package pki reads certificates, their keys, authorities and revocation lists
// from files, strictly: what is passed over where trust is decided is an outage
// or, where it was to replace something, a hole.
package pki

import (
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// MaxFile bounds a file. A bundle of every public authority has about a fifth of
// it.
const MaxFile = 1 << 20

// Part is which of the files that belong together something is about.
type Part string

// The parts.
const (
	Cert Part = "cert"
	Key  Part = "key"
	CA   Part = "CA"
	CRL  Part = "CRL"
)

// Problem is why files cannot be used. It never repeats what is in them.
type Problem struct {
	Part Part
	// Path is the file's.
	Path string
	// Rule is what it breaks, in words.
	Rule string
}

// Error is the problem in one line.
func (p *Problem) Error() string { return fmt.Sprintf("%s: %s", p.Path, p.Rule) }

func problem(part Part, path, rule string, args ...any) *Problem {
	return &Problem{part, path, fmt.Sprintf(rule, args...)}
}

// Sum names the state of files: two readings of equal sum are of the same state,
// be it a fault of reading.
type Sum [sha256.Size]byte

// SumOf is the state of several files.
func SumOf(paths ...string) Sum {
	h := sha256.New()
	for _, path := range paths {
		content, err := read(path)
		one := sha256.Sum256(content)
		h.Write(one[:])
		if err != "" {
			one = sha256.Sum256([]byte(err))
			h.Write(one[:])
		}
	}
	return Sum(h.Sum(nil))
}

const noSuchFile = "must be a file that is there"

// read is the content of a file, or the rule that it breaks.
func read(path string) (content []byte, rule string) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, noSuchFile
	case err != nil:
		return nil, "must be a file that can be read"
	}
	defer f.Close() // only read from
	// Of a pipe or a device it is not known how much there is, or when.
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, "must be a file, not a directory or a device"
	}
	content, err = io.ReadAll(io.LimitReader(f, MaxFile+1))
	switch {
	case err != nil:
		return nil, "must be a file that can be read"
	case len(content) > MaxFile:
		return nil, fmt.Sprintf("must have at most %d bytes", MaxFile)
	}
	return content, ""
}

// blocks are the contents of the PEM blocks of a kind, of which there is at
// least one, and none of another kind.
func blocks(content []byte, kind string) (all [][]byte, rule string) {
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != kind {
			return nil, fmt.Sprintf("block %d is a %s, must be a %s", len(all)+1, block.Type, kind)
		}
		all = append(all, block.Bytes)
	}
	switch begun := bytes.Count(content, []byte("-----BEGIN ")); {
	case begun > len(all): // Decode passes over what it cannot read
		return nil, fmt.Sprintf("must have whole blocks of PEM: %d begin, %d can be read", begun, len(all))
	case begun == 0:
		return nil, fmt.Sprintf("must have a %s in PEM", kind)
	}
	return all, ""
}

// inTime is the rule that a time of validity breaks, or "".
func inTime(notBefore, notAfter, now time.Time) string {
	switch {
	case now.After(notAfter):
		return "expired on " + notAfter.UTC().Format(time.RFC3339)
	case now.Before(notBefore):
		return "is not valid before " + notBefore.UTC().Format(time.RFC3339)
	}
	return ""
}

// encode is PEM of one kind.
func encode(kind string, all ...[]byte) []byte {
	var out []byte
	for _, der := range all {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	return out
}
