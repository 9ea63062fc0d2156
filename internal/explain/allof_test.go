package explain

import (
	"strings"
	"testing"
)

// Each requirement of allOf is shown with what the request has of it, and what
// is certain of all together.
func TestAllOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer, key := w.token(map[string]any{"sub": "alice", "aud": "api"}), [2]string{"X-API-Key", "gw_x"}
	for name, c := range map[string]struct {
		headers [][2]string
		verdict Verdict
		reason  string
		of      Verdict
	}{
		"both":            {[][2]string{bearer, key}, Unknown, "", Unknown},
		"the token alone": {[][2]string{bearer}, Denied, "credential-missing", Denied},
		"the key alone":   {[][2]string{key}, Denied, "credential-missing", Unknown},
		"two keys":        {[][2]string{bearer, key, key}, Denied, "duplicate-credential", Denied},
	} {
		r := w.ask(t, "/both", c.headers...)
		if r.Auth == nil || r.Auth.Public || r.Auth.Verdict != c.verdict || len(r.Auth.AnyOf) != 2 || len(r.Auth.AllOf) != 1 || r.Auth.AllOf[0].Verdict != c.of {
			t.Fatalf("%s: %+v", name, r.Auth)
		}
		if c.reason != "" && r.Auth.Denied.Reason != c.reason {
			t.Errorf("%s: %s", name, r.Auth.Denied)
		}
		var text strings.Builder
		if err := r.Write(&text); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"one of these:", "all of these, of one caller:", "apiKey partners: " + string(c.of)} {
			if !strings.Contains(text.String(), part) {
				t.Errorf("%s: no %q in\n%s", name, part, text.String())
			}
		}
	}
}
