package authz

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatewright/gatewright/config"
)

func discoveredJWT() *config.JWT {
	p := mainJWT()
	p.Issuer, p.JWKS = "http://id.example.com/realm/", config.JWKS{Discover: true, PlainHTTP: true}
	return p
}

// discovers answers with a document, and with a set at /keys.
func discovers(document, keys string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/realm/.well-known/openid-configuration":
			_, _ = w.Write([]byte(document))
		case "/keys":
			_, _ = w.Write([]byte(keys))
		default:
			http.NotFound(w, r)
		}
	}
}

func TestDiscovery(t *testing.T) {
	const issuer = `"issuer":"http://id.example.com/realm/"`
	for name, c := range map[string]struct {
		document, keyHost string
		want              Reason
	}{
		"good":               {`{` + issuer + `,"jwks_uri":"http://id.example.com/keys"}`, "", ReasonAllowed},
		"its port said":      {`{` + issuer + `,"jwks_uri":"http://ID.example.com:80/keys"}`, "", ReasonAllowed},
		"a host allowed":     {`{` + issuer + `,"jwks_uri":"http://keys.example.com/keys"}`, "keys.example.com", ReasonAllowed},
		"another host":       {`{` + issuer + `,"jwks_uri":"http://keys.example.com/keys"}`, "", ReasonJWKSUnavailable},
		"another port":       {`{` + issuer + `,"jwks_uri":"http://id.example.com:81/keys"}`, "", ReasonJWKSUnavailable},
		"this machine":       {`{` + issuer + `,"jwks_uri":"http://127.0.0.1/keys"}`, "", ReasonJWKSUnavailable},
		"cloud metadata":     {`{` + issuer + `,"jwks_uri":"http://169.254.169.254/keys"}`, "", ReasonJWKSUnavailable},
		"a file":             {`{` + issuer + `,"jwks_uri":"file:///keys"}`, "", ReasonJWKSUnavailable},
		"a user":             {`{` + issuer + `,"jwks_uri":"http://a@id.example.com/keys"}`, "", ReasonJWKSUnavailable},
		"another issuer":     {`{"issuer":"http://id.example.com/other","jwks_uri":"http://id.example.com/keys"}`, "", ReasonJWKSUnavailable},
		"no slash":           {`{"issuer":"http://id.example.com/realm","jwks_uri":"http://id.example.com/keys"}`, "", ReasonJWKSUnavailable},
		"no issuer":          {`{"jwks_uri":"http://id.example.com/keys"}`, "", ReasonJWKSUnavailable},
		"two issuers":        {`{"issuer":"x",` + issuer + `,"jwks_uri":"http://id.example.com/keys"}`, "", ReasonJWKSUnavailable},
		"no keys":            {`{` + issuer + `}`, "", ReasonJWKSUnavailable},
		"keys are no text":   {`{` + issuer + `,"jwks_uri":["http://id.example.com/keys"]}`, "", ReasonJWKSUnavailable},
		"a long way to keys": {`{` + issuer + `,"jwks_uri":"http://id.example.com/keys?` + strings.Repeat("x", maxKeyURLBytes) + `"}`, "", ReasonJWKSUnavailable},
		"garbage":            {"<html>", "", ReasonJWKSUnavailable},
		"huge":               {`{` + issuer + strings.Repeat(" ", maxJWKSBytes) + `}`, "", ReasonJWKSUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newJWKSBench(t, discovers(c.document, set("a")))
				p := discoveredJWT()
				p.JWKS.KeyHost = c.keyHost
				b.Ensure(t.Context(), []*config.JWT{p})
				if got := b.find(t, p, "a"); got != c.want {
					t.Errorf("%s, want %s\n%s", got, c.want, b.log)
				}
			})
		})
	}
	place := keyPlace{config.JWKS{Discover: true, PlainHTTP: true}, "https://id.example.com"}
	if keyURLRule(place, "http://id.example.com/keys") == "" {
		t.Error("a safe issuer has sent us to plain HTTP")
	}
}

// TestDiscoveryIsRemembered: a flood costs one fetch in 30 s here, too, and
// keys that have moved are found again.
func TestDiscoveryIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		document := `{"issuer":"http://id.example.com/realm/","jwks_uri":"http://id.example.com/keys"}`
		b := newJWKSBench(t, discovers(document, set("a")))
		p := discoveredJWT()
		b.Ensure(t.Context(), []*config.JWT{p})
		for range 100 {
			b.find(t, p, "unknown")
		}
		if n := b.issuer.count(); n != 3 {
			t.Errorf("%d visits, want 3: the document, the keys, and the keys for the flood", n)
		}
		b.issuer.becomes(discovers(strings.Replace(document, "com/keys", "com/realm/.well-known/openid-configuration", 1), ""))
		time.Sleep(defaultRefresh)
		if got := b.find(t, p, "a"); got != ReasonAllowed {
			t.Errorf("the last good key: %s", got)
		}
		b.issuer.becomes(discovers(document, set("b")))
		time.Sleep(time.Hour)
		if got := b.find(t, p, "b"); got != ReasonAllowed {
			t.Errorf("found again: %s", got)
		}
	})
}

// TestUnchangedSetIsNotSentAgain: the issuer is asked by the ETag of what was
// good the last time.
func TestUnchangedSetIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tagged := func(etag, body string) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", etag)
				if r.Header.Get("If-None-Match") == etag {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				_, _ = w.Write([]byte(body))
			}
		}
		b := newJWKSBench(t, tagged(`"1"`, set("a")))
		p := urlJWT("main")
		b.Ensure(t.Context(), []*config.JWT{p})
		time.Sleep(defaultRefresh + time.Second)
		b.wantMetric(t, "gatewright_jwks_fetches_total main ok", "2")
		if n := strings.Count(b.log.String(), "key set loaded"); n != 1 {
			t.Errorf("loaded %d times, want once", n)
		}
		b.issuer.becomes(tagged(`"2"`, "garbage")) // its tag must not be believed
		time.Sleep(defaultRefresh)
		b.issuer.becomes(tagged(`"1"`, "never sent"))
		time.Sleep(defaultRefresh)
		if got := b.find(t, p, "a"); got != ReasonAllowed {
			t.Errorf("unchanged: %s", got)
		}
		b.issuer.becomes(tagged(`"3"`, set("b")))
		time.Sleep(defaultRefresh)
		if got := b.find(t, p, "b"); got != ReasonAllowed {
			t.Errorf("changed: %s", got)
		}
		b.issuer.becomes(fails(304))
		time.Sleep(defaultRefresh)
		if at := b.Status(time.Now())[0].ConfirmedAt; time.Since(*at) > defaultRefresh+time.Second {
			t.Errorf("confirmed at %s", at)
		}
	})
}

// TestKeptSet: a start while the issuer is down judges by the keys of the last
// run, but not for ever, and not by those of another place.
func TestKeptSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "state", "jwks")
		run := func(p *config.JWT, answer http.HandlerFunc) *jwksBench {
			b := newJWKSBench(t, answer)
			b.folder = folder
			b.Ensure(t.Context(), []*config.JWT{p})
			return b
		}
		p := urlJWT("main")
		run(p, serves(set("a"))).Close()
		files, err := filepath.Glob(filepath.Join(folder, "*"))
		if err != nil || len(files) != 1 {
			t.Fatalf("kept: %v, %v", files, err)
		}
		kept, err := os.Stat(files[0])
		if err != nil || kept.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", kept.Mode(), err)
		}

		time.Sleep(time.Hour)
		began := time.Now()
		b := run(p, fails(500))
		if took := time.Since(began); took > firstSetPatience {
			t.Errorf("Ensure took %s", took)
		}
		if got := b.find(t, p, "a"); got != ReasonAllowed {
			t.Errorf("with the issuer down: %s\n%s", got, b.log)
		}
		status := b.Status(time.Now())[0]
		if !status.Restored || status.Keys != 1 || time.Since(*status.ConfirmedAt).Round(time.Minute) != time.Hour {
			t.Errorf("status %+v", status)
		}
		time.Sleep(71*time.Hour - time.Minute)
		if got := b.find(t, p, "a"); got != ReasonAllowed {
			t.Errorf("before it is too old: %s", got)
		}
		time.Sleep(2 * time.Minute)
		if got := b.find(t, p, "a"); got != ReasonJWKSUnavailable || !b.Status(time.Now())[0].Stale {
			t.Errorf("72h after it was confirmed: %s", got)
		}
		b.issuer.becomes(serves(set("b")))
		time.Sleep(time.Minute)
		if got := b.find(t, p, "b"); got != ReasonAllowed {
			t.Errorf("when the issuer is back: %s", got)
		}
		b.Close()

		other := urlJWT("main")
		other.JWKS.URL += "?other"
		b = run(other, fails(500))
		if got := b.find(t, other, "b"); got != ReasonJWKSUnavailable {
			t.Errorf("another place reads these keys: %s", got)
		}
		b.Close()
		good, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		for name, spoil := range map[string]func() error{
			"cut off": func() error { return os.WriteFile(files[0], good[:len(good)/2], 0o600) },
			"changed": func() error {
				return os.WriteFile(files[0], []byte(strings.Replace(string(good), "P-256", "P-384", 1)), 0o600)
			},
			"another's": func() error {
				return os.WriteFile(files[0], []byte(strings.Replace(string(good), "jwks.json", "jwks.jsom", 1)), 0o600)
			},
			"for everyone": func() error { return os.Chmod(files[0], 0o666) },
		} {
			if err := os.WriteFile(files[0], good, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := spoil(); err != nil {
				t.Fatal(err)
			}
			b := run(p, fails(500))
			if got := b.find(t, p, "b"); got != ReasonJWKSUnavailable {
				t.Errorf("%s: %s", name, got)
			}
			if !strings.Contains(b.log.String(), "the kept key set is not used") {
				t.Errorf("%s: the log does not say so:\n%s", name, b.log)
			}
			b.Close()
			if err := os.Chmod(files[0], 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
}
