package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	maxWho = 256
	maxWhy = 4096
)

// check refuses what would not be readable in a list of versions.
func (w Write) check() error {
	switch {
	case w.Who == "":
		return fmt.Errorf("who writes is not said: the history names somebody for each version")
	case len(w.Who) > maxWho:
		return fmt.Errorf("who has %d bytes, must have at most %d", len(w.Who), maxWho)
	case len(w.Why) > maxWhy:
		return fmt.Errorf("why has %d bytes, must have at most %d", len(w.Why), maxWhy)
	case !utf8.ValidString(w.Who) || strings.ContainsFunc(w.Who, unicode.IsControl):
		return fmt.Errorf("who: %q: must be UTF-8 without control characters", w.Who)
	case !utf8.ValidString(w.Why) || strings.ContainsFunc(w.Why, isControlInText):
		return fmt.Errorf("why: %q: must be UTF-8 without control characters, except line ends and tabs", w.Why)
	}
	return nil
}

// isControlInText tells of characters that do something to a terminal.
func isControlInText(r rune) bool {
	return unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r'
}

// version is the entry for a content.
func (w Write) version(number int64, data []byte) Version {
	return Version{
		Number: number, When: now(), Who: w.Who, Why: w.Why, Hash: hashOf(data),
		Force: w.Force, RolledBackTo: w.RolledBackTo,
	}
}

// byHand is the entry for a content that Apply found.
func byHand(number int64, hash string) Version {
	return Version{Number: number, When: now(), Why: "edited by hand", Hash: hash, ByHand: true}
}

// now is the time as it is after it was written and read again, so that
// Versions can be compared.
func now() time.Time { return time.Now().UTC().Round(0) }

// record is how a Version is kept.
func record(v Version) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("store: writing a version as JSON: " + err.Error()) // only for a year above 9999
	}
	return data
}

// versionOf reads a record. A record that cannot be read keeps its place in
// the history; its number is known from elsewhere.
func versionOf(number int64, data []byte) Version {
	var v Version
	if err := json.Unmarshal(data, &v); err != nil || v.Number != number {
		return Version{Number: number, Why: "(this entry cannot be read)"}
	}
	return v
}
