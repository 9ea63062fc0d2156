package keys

import (
	"slices"
	"time"
)

// Record is what is kept of a key. It holds nothing that could be used as one.
// Times are in UTC, in whole milliseconds.
type Record struct {
	// ID is the public name of the key, unique.
	ID string `json:"id"`
	// Name is a label for people. Not unique.
	Name string `json:"name"`
	// Owner is who answers for the key. Empty where nobody was named.
	Owner string `json:"owner,omitempty"`
	// Tenant is the customer the key acts for. Empty where there is none.
	Tenant string `json:"tenant,omitempty"`
	// Plan is the key's own, which goes before that of its tenant's record.
	// Empty where it has none.
	Plan string `json:"plan,omitempty"`
	// Permissions are what routes may require of the key: sorted, each once.
	// A Record's reader does not change them: a Cache shares them.
	Permissions []string `json:"permissions"`
	// Labels are what people sort keys by. A Record's reader does not change them.
	Labels map[string]string `json:"labels,omitempty"`
	// Imported says that the key was made by another program.
	Imported bool `json:"imported,omitempty"`
	// CreatedAt is when the key was made, or imported.
	CreatedAt time.Time `json:"createdAt"`
	// ExpiresAt is the first moment at which the key is no longer valid. The
	// zero time is never.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// RevokedAt is when the key was revoked. The zero time is not at all.
	RevokedAt time.Time `json:"revokedAt,omitzero"`

	// PreviousUntil is the first moment at which the secret before the last
	// rotation is no longer valid. The zero time: it was never rotated.
	PreviousUntil time.Time `json:"previousUntil,omitzero"`
	// LastUsedAt is when a request was last admitted by the key, a minute or
	// two old, and older after a crash. Only List and ByID know it.
	LastUsedAt time.Time `json:"lastUsedAt,omitzero"`

	hash     hash
	previous hash // that before the last rotation, zero where there was none
}

// StateAt returns Valid, Revoked or Expired. A key that is both revoked and
// expired is revoked.
func (r Record) StateAt(now time.Time) State {
	switch {
	case !r.RevokedAt.IsZero():
		return Revoked
	case !r.ExpiresAt.IsZero() && !now.Before(r.ExpiresAt):
		return Expired
	default:
		return Valid
	}
}

// stateOf returns the verdict on a text: Unknown where it is not the key's. That
// takes two hashes, whatever the record is: one that was never rotated, or the
// zero Record, which is nobody's, as long as any other.
func (r *Record) stateOf(d digest, secrets *ring, now time.Time) State {
	switch {
	case secrets.verifies(r.hash, d):
		return r.StateAt(now)
	case !secrets.verifies(r.previous, d):
		return Unknown
	case r.StateAt(now) == Valid && !now.Before(r.PreviousUntil):
		return Expired
	default:
		return r.StateAt(now)
	}
}

// HasPermissions reports whether the key has every one of wanted.
func (r Record) HasPermissions(wanted []string) bool {
	for _, permission := range wanted {
		if !slices.Contains(r.Permissions, permission) {
			return false
		}
	}
	return true
}
