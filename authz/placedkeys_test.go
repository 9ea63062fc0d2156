package authz

import (
	"slices"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
)

// TestUsableKeys: those that are handed over have an id and an algorithm that the provider
// takes, and of their JWK nothing but what makes the key; those without an id are counted.
func TestUsableKeys(t *testing.T) {
	t.Parallel()
	const x = `"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"`
	const ec = `"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"`
	for name, c := range map[string]struct {
		keys       string
		algorithms []string
		usable     []string
		nameless   int
	}{
		"all are named":              {`{` + x + `,"kid":"a"},{` + ec + `,"kid":"b","x5t":"c","alg":"ES256"}`, []string{"EdDSA", "ES256"}, []string{"a", "b"}, 0},
		"one has no id":              {`{` + x + `,"kid":"a"},{` + ec + `}`, []string{"EdDSA", "ES256"}, []string{"a"}, 1},
		"none has":                   {`{` + x + `}`, []string{"EdDSA"}, nil, 1},
		"of another algorithm":       {`{` + x + `,"kid":"a"},{` + ec + `,"kid":"b"}`, []string{"ES256"}, []string{"b"}, 0},
		"of another, and without id": {`{` + x + `},{` + ec + `,"kid":"b"}`, []string{"ES256"}, []string{"b"}, 0},
	} {
		p := &config.JWT{Name: "main", Issuer: "http://id", Algorithms: c.algorithms, JWKS: config.JWKS{Inline: `{"keys":[` + c.keys + `]}`}}
		k := NewKeySets(KeySetsOptions{})
		defer k.Close()
		k.Ensure(t.Context(), []*config.JWT{p})
		now := time.Now()
		var ids []string
		for _, key := range k.Usable(p, now) {
			ids = append(ids, key.ID)
			for member := range key.Members {
				if !slices.Contains([]string{"kty", "crv", "x", "y", "n", "e"}, member) {
					t.Errorf("%s: key %s is handed over with its %s", name, key.ID, member)
				}
			}
		}
		slices.Sort(ids)
		if !slices.Equal(ids, c.usable) || k.Nameless(p, now) != c.nameless {
			t.Errorf("%s: usable %v, nameless %d; want %v, %d", name, ids, k.Nameless(p, now), c.usable, c.nameless)
		}
	}
	p := &config.JWT{Name: "none", JWKS: config.JWKS{URL: "https://id.example/keys"}}
	k := NewKeySets(KeySetsOptions{})
	defer k.Close()
	if k.Usable(p, time.Now()) != nil || k.Nameless(p, time.Now()) != 0 {
		t.Error("a set that has not come has keys")
	}
}
