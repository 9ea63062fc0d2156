package authz

import (
	"context"

	"github.com/gatewright/gatewright/config"
)

// KeyFinder finds API keys. The key store implements it.
type KeyFinder interface {
	// Find returns the record and the state of a key as a client sent it. The
	// record is set when the state is Valid. An error means that the store
	// cannot answer: the request is then a 503, never a pass. It keeps neither the
	// key nor a part of it: both are parts of the whole request.
	Find(ctx context.Context, key string) (APIKeyRecord, APIKeyState, error)
}

// APIKeyRecord is what the store knows of a key. None of it is secret.
type APIKeyRecord struct {
	// ID is the key's public name.
	ID string
	// Owner and Tenant are whom it was given to; both may be empty.
	Owner, Tenant string
	// Plan is the key's own, which goes before its tenant's. Empty is none.
	Plan string
	// Permissions are what it may do.
	Permissions []string
}

// APIKeyState is whether a key can be used. The zero value is a key that the
// store does not know.
type APIKeyState int

// The states of a key. Only Valid lets a request pass.
const (
	Unknown APIKeyState = iota
	Valid
	Revoked
	Expired
	// Malformed is a text that cannot be a key of this store.
	Malformed
)

// maxAPIKeyBytes is the longest text that the store is asked about.
const maxAPIKeyBytes = 512

// readAPIKey returns the provider's key as the request carries it; empty
// where it carries none.
func readAPIKey(rq *request, provider *config.APIKey) (string, *refusal) {
	if provider.From.Query != "" {
		return rq.credentialQuery(provider.From.Query)
	}
	return rq.credentialHeader(provider.KeyHeader())
}

// checkAPIKey returns the record of a key that can be used.
func checkAPIKey(ctx context.Context, finder KeyFinder, key string) (APIKeyRecord, *refusal) {
	if key == "" {
		return APIKeyRecord{}, refuse(ReasonCredentialMissing)
	}
	if !isKeyText(key) {
		return APIKeyRecord{}, refuse(ReasonAPIKeyInvalid)
	}
	record, state, err := finder.Find(ctx, key)
	if err != nil {
		return APIKeyRecord{}, refuseFor(ReasonKeyStoreUnavailable, err)
	}
	switch state {
	case Valid:
		return record, nil
	case Revoked:
		return APIKeyRecord{}, refuse(ReasonAPIKeyRevoked)
	case Expired:
		return APIKeyRecord{}, refuse(ReasonAPIKeyExpired)
	default:
		return APIKeyRecord{}, refuse(ReasonAPIKeyInvalid)
	}
}

// isKeyText reports whether a text is worth asking the store: short, and
// printable ASCII without spaces.
func isKeyText(key string) bool {
	if len(key) > maxAPIKeyBytes {
		return false
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return true
}
