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
	// Permissions are what routes may require of the key: sorted, each once.
	// A Record's reader does not change them: a Cache shares them.
	Permissions []string `json:"permissions"`
	// CreatedAt is when the key was made.
	CreatedAt time.Time `json:"createdAt"`
	// ExpiresAt is the first moment at which the key is no longer valid. The
	// zero time is never.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// RevokedAt is when the key was revoked. The zero time is not at all.
	RevokedAt time.Time `json:"revokedAt,omitzero"`

	hash hash
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

// HasPermissions reports whether the key has every one of wanted.
func (r Record) HasPermissions(wanted []string) bool {
	for _, permission := range wanted {
		if !slices.Contains(r.Permissions, permission) {
			return false
		}
	}
	return true
}
