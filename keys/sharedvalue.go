package keys

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	// sharedFor is how long a value is kept in Redis, and believed.
	sharedFor = 10 * time.Minute
	// maxSharedBytes bounds a value. A record that needs more is not shared.
	maxSharedBytes = 16 << 10
	// sharedPrefix begins the name of all that we have in Redis of keys.
	sharedPrefix = "gw:key:1:"
)

// sharedValue is what Redis holds of a key: its record, and what tells whether
// that is still what the database holds.
type sharedValue struct {
	// Version is the number of the record's last change in the feed.
	Version int64 `json:"version"`
	// AsOf is a change that the feed had before the record was read.
	AsOf int64 `json:"asOf"`
	// WrittenAt is when, in milliseconds since 1970, by the writer's clock.
	WrittenAt int64 `json:"writtenAt"`

	Hash     string `json:"hash"`
	Previous string `json:"previous,omitempty"`
	Record   Record `json:"record"`
}

// seal keeps what is in Redis from those who can write to it and do not know
// the secret: a value is preceded by its HMAC-SHA-256, with the name that it has
// there. So nobody can make one, change one, or give one to another key.
type seal struct {
	secrets *ring
	key     [sha256.Size]byte
	// prefix begins the names of values. It holds the version of their format, a
	// fingerprint of the columns of a record, of the secret, and of the database: a
	// program that keeps other columns, or another database, has other names.
	prefix string
}

// newSeal returns that of a database, of which identity tells it from others.
func newSeal(secrets *ring, identity string) *seal {
	first := secrets.secrets[0]
	name := first.sum("gatewright: name of keys in Redis", sha256.Sum256([]byte(recordColumns+"\x00"+identity)))
	return &seal{
		secrets: secrets,
		key:     first.sum("gatewright: authenticator of keys in Redis", digest{}),
		prefix:  sharedPrefix + hex.EncodeToString(name[:8]) + ":",
	}
}

// channelName is that of the channel on which changes are announced to all who
// have the secret.
func channelName(secrets *ring) string {
	name := secrets.secrets[0].sum("gatewright: channel of keys in Redis", digest{})
	return sharedPrefix + "changed:" + hex.EncodeToString(name[:8])
}

// name is that of the value of a key.
func (s *seal) name(id string) string { return s.prefix + id }

// errForged is a value that nobody who knows the secret has put there.
var errForged = errors.New("it is not of ours")

// close returns what Redis is to hold of a record. It is an error where that
// would be longer than maxSharedBytes.
func (s *seal) close(record *Record, version, asOf int64, now time.Time) ([]byte, error) {
	value := sharedValue{Version: version, AsOf: asOf, WrittenAt: now.UnixMilli(), Hash: record.hash.stored(), Record: *record}
	if record.previous != (hash{}) {
		value.Previous = record.previous.stored()
	}
	payload, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("writing the value of key %s: %w", record.ID, err)
	}
	if sha256.Size+len(payload) > maxSharedBytes {
		return nil, fmt.Errorf("writing the value of key %s: %d bytes, at most %d", record.ID, sha256.Size+len(payload), maxSharedBytes)
	}
	return append(s.sum(s.name(record.ID), payload), payload...), nil
}

// open reads what Redis holds under the name of id. Its errors are errForged,
// and that a value is too old.
func (s *seal) open(id string, sealed []byte, now time.Time) (sharedValue, error) {
	if len(sealed) < sha256.Size || len(sealed) > maxSharedBytes {
		return sharedValue{}, errForged
	}
	sum, payload := sealed[:sha256.Size], sealed[sha256.Size:]
	if !hmac.Equal(sum, s.sum(s.name(id), payload)) {
		return sharedValue{}, errForged
	}
	var value sharedValue
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		return sharedValue{}, fmt.Errorf("reading the value of key %s: %w", id, err)
	}
	record := &value.Record
	var err error
	if record.hash, err = s.secrets.parseHash(value.Hash); err != nil {
		return sharedValue{}, fmt.Errorf("reading the value of key %s: %w", id, err)
	}
	if value.Previous != "" {
		if record.previous, err = s.secrets.parseHash(value.Previous); err != nil {
			return sharedValue{}, fmt.Errorf("reading the value of key %s: %w", id, err)
		}
	}
	age := now.Sub(time.UnixMilli(value.WrittenAt))
	if record.ID != id || value.Version < 1 || age.Abs() > sharedFor {
		return sharedValue{}, fmt.Errorf("reading the value of key %s: it is of %s, version %d, written %s ago", id, record.ID, value.Version, age)
	}
	return value, nil
}

// sum returns the HMAC of a value under its name. The length of the name is
// before it, so that no other name and value are the same bytes.
func (s *seal) sum(name string, payload []byte) []byte {
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(name))))
	mac.Write([]byte(name))
	mac.Write(payload)
	return mac.Sum(nil)
}
