package keys

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sealOf(t testing.TB, secret, identity string) *seal {
	t.Helper()
	secrets, err := newRing(secret)
	if err != nil {
		t.Fatal(err)
	}
	return newSeal(secrets, identity)
}

// fullRecord has a value in every field that a look-up reads.
func fullRecord(t testing.TB, s *seal) Record {
	t.Helper()
	var r Record
	v := reflect.ValueOf(&r).Elem()
	for i := range v.NumField() {
		field, of := v.Field(i), v.Type().Field(i)
		if !of.IsExported() || of.Name == "LastUsedAt" { // which only lists know
			continue
		}
		switch value := field.Addr().Interface().(type) {
		case *string:
			*value = "of " + of.Name + " <\"é>"
		case *bool:
			*value = true
		case *time.Time:
			*value = noon.Add(time.Duration(i) * time.Millisecond).UTC()
		case *[]string:
			*value = []string{"a", "b"}
		case *map[string]string:
			*value = map[string]string{"team": "billing"}
		default:
			t.Fatalf("what is a %s, of field %s?", of.Type, of.Name)
		}
	}
	r.ID = "0123456789abc"
	r.hash, r.previous = s.secrets.hashOf(digestOf("one")), s.secrets.hashOf(digestOf("before"))
	return r
}

// TestEveryFieldOfARecordIsShared: what comes out of Redis is what went in,
// whatever fields a record has.
func TestEveryFieldOfARecordIsShared(t *testing.T) {
	s := sealOf(t, testSecret, "db")
	for name, record := range map[string]Record{
		"full":  fullRecord(t, s),
		"empty": {ID: "0123456789abc", Permissions: []string{}, CreatedAt: noon.UTC(), hash: s.secrets.hashOf(digestOf("one"))},
	} {
		sealed, err := s.close(&record, 7, 5, noon)
		if err != nil {
			t.Fatal(err)
		}
		value, err := s.open(record.ID, sealed, noon.Add(sharedFor))
		if err != nil {
			t.Fatal(err)
		}
		if value.Version != 7 || value.AsOf != 5 || !reflect.DeepEqual(value.Record, record) {
			t.Errorf("%s: %+v, want %+v", name, value, record)
		}
	}
}

// TestSealHoldsEveryBit: a value with any bit changed, cut, longer, under
// another name, or of another database, secret or set of columns, is not of ours.
func TestSealHoldsEveryBit(t *testing.T) {
	s := sealOf(t, testSecret, "db")
	record := fullRecord(t, s)
	sealed, err := s.close(&record, 7, 5, noon)
	if err != nil {
		t.Fatal(err)
	}
	forged := func(what string, by *seal, id string, value []byte) {
		t.Helper()
		if _, err := by.open(id, value, noon); !errors.Is(err, errForged) {
			t.Errorf("%s: %v, want that it is not of ours", what, err)
		}
	}
	for i := range 8 * len(sealed) {
		flipped := append([]byte(nil), sealed...)
		flipped[i/8] ^= 1 << (i % 8)
		forged("a flipped bit", s, record.ID, flipped)
	}
	for n := range len(sealed) {
		forged("cut", s, record.ID, sealed[:n])
	}
	forged("longer", s, record.ID, append(sealed[:len(sealed):len(sealed)], ' '))
	forged("far too long", s, record.ID, make([]byte, maxSharedBytes+1))
	forged("of another key", s, "0123456789abd", sealed)
	forged("of another database", sealOf(t, testSecret, "another"), record.ID, sealed)
	forged("of another secret", sealOf(t, testSecret+"x", "db"), record.ID, sealed)
	forged("nothing but JSON", s, record.ID, sealed[32:])
}

// TestValuesThatAreTooOld: also ours are believed for a time only, and not where
// they make no sense.
func TestValuesThatAreTooOld(t *testing.T) {
	s := sealOf(t, testSecret, "db")
	record := fullRecord(t, s)
	at := func(version int64, written, read time.Time) error {
		sealed, err := s.close(&record, version, 5, written)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.open(record.ID, sealed, read)
		return err
	}
	if err := at(7, noon, noon.Add(sharedFor)); err != nil {
		t.Errorf("in time: %v", err)
	}
	for name, err := range map[string]error{
		"too old":           at(7, noon, noon.Add(sharedFor+time.Millisecond)),
		"of times to come":  at(7, noon, noon.Add(-sharedFor-time.Millisecond)),
		"of no change":      at(0, noon, noon),
		"of unknown fields": unknownField(t, s, record),
	} {
		if err == nil || errors.Is(err, errForged) {
			t.Errorf("%s: %v, want an error that does not say forged", name, err)
		}
	}
	record.Permissions = []string{strings.Repeat("x", maxSharedBytes)}
	if _, err := s.close(&record, 7, 5, noon); err == nil {
		t.Error("a value that is too long is made")
	}
}

// unknownField opens a value that has a field more, sealed as ours.
func unknownField(t testing.TB, s *seal, record Record) error {
	t.Helper()
	payload, err := json.Marshal(map[string]any{"version": 7, "asOf": 5, "hash": record.hash.stored(), "record": record, "limit": "none"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.open(record.ID, append(s.sum(s.name(record.ID), payload), payload...), noon)
	return err
}

// FuzzSharedValue: whatever Redis holds, reading it neither panics nor succeeds.
func FuzzSharedValue(f *testing.F) {
	s := sealOf(f, testSecret, "db")
	record := fullRecord(f, s)
	sealed, err := s.close(&record, 7, 5, noon)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed[:40])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		if string(text) == string(sealed) {
			return
		}
		if _, err := s.open(record.ID, text, noon); !errors.Is(err, errForged) {
			t.Errorf("%q: %v", text, err)
		}
		// With a seal of ours it is a value or an error.
		_, _ = s.open(record.ID, append(s.sum(s.name(record.ID), text), text...), noon)
	})
}
