package explain

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
)

// TestWhereAPolicyRuns: on each listener, and why not inside Envoy; nothing is said of
// routes about which nobody is asked, nor of listeners whose requests reach none.
func TestWhereAPolicyRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := *w.Config
	c.Listeners = append(slices.Clone(c.Listeners),
		&config.Listener{Name: "internal", Placement: config.PlacementService},
		&config.Listener{Name: "web", RedirectToHTTPS: &config.HTTPSRedirect{}})
	c.Routes = slices.Clone(c.Routes)
	routes := map[string]*config.Route{}
	for i := range c.Routes {
		r := *c.Routes[i]
		c.Routes[i], routes[r.Name] = &r, &r
	}
	routes["afar"].Limits = nil
	routes["users"].Limits = nil
	routes["users"].Placement = config.PlacementService
	guarded := *c.Backends["next"]
	guarded.Breaker = &config.Breaker{}
	c.Backends = maps.Clone(c.Backends)
	c.Backends["next"] = &guarded
	w.Config = &c

	for path, want := range map[string][]string{
		"/afar": {
			"judged on listener public: inside Envoy, which asks Gatewright about requests that do not surely pass",
			"judged on listener internal: by Gatewright, which is asked about every request, since\n  listener internal says placement: service\n",
		},
		"/users/7": {
			"judged on listener public: by Gatewright, which is asked about every request, since\n  the route says placement: service\n",
		},
		"/both": {
			"judged on listener public: by Gatewright, which is asked about every request, since\n  allOf joins several credentials\n",
			"since\n  listener internal says placement: service; allOf joins several credentials\n",
		},
		"/old/a": {"since\n  apiKey legacy is taken out of the query; no jwt is asked for\n"},
		// Of a public route nothing has to be shown.
		"/split": {
			"judged on listener public: inside Envoy, which asks Gatewright about requests that do not surely pass\njudged on listener internal",
		},
		"/pages": {},
	} {
		r := w.ask(t, path)
		var text strings.Builder
		if err := r.Write(&text); err != nil {
			t.Fatal(err)
		}
		for _, part := range want {
			if !strings.Contains(text.String(), part) {
				t.Errorf("%s: no %q in\n%s", path, part, &text)
			}
		}
		if got := len(r.Placement); got != 2 && len(want) > 0 || got > 0 && len(want) == 0 {
			t.Errorf("%s: %+v", path, r.Placement)
		}
		if strings.Contains(text.String(), "on listener web") || len(want) == 0 && strings.Contains(text.String(), "judged") {
			t.Errorf("%s: it is said of too much:\n%s", path, &text)
		}
	}

	// Where all listeners do the same, it is said once.
	c.Listeners = c.Listeners[:1]
	for path, want := range map[string]string{
		"/afar":    "\njudged: inside Envoy, which asks Gatewright about requests that do not surely pass\n",
		"/users/7": "\njudged: by Gatewright, which is asked about every request, since\n  the route says placement: service\n",
	} {
		var text strings.Builder
		if err := w.ask(t, path).Write(&text); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text.String(), want) {
			t.Errorf("%s: no %q in\n%s", path, want, &text)
		}
	}

	// A limit that is counted there, too, is so for as long as it can.
	synced := *c.Limits["per-plan"]
	synced.Consistency, synced.Cost = config.Sync, &config.Cost{Number: 3}
	c.Limits = map[string]*config.Limit{"per-plan": &synced}
	routes["afar"].Limits = []string{"per-plan"}
	r := w.ask(t, "/afar")
	var said strings.Builder
	if err := r.Write(&said); err != nil {
		t.Fatal(err)
	}
	if want := "\n  limit per-plan too, while there are at most 6 Envoys, all with a bootstrap of this version,\n"; !strings.Contains(said.String(), want) {
		t.Errorf("no %q in\n%s", want, &said)
	}
	if got := r.Placement[0].Limit; got == nil || *got != (PlacedLimit{"per-plan", 6}) {
		t.Errorf("limits inside Envoy: %+v", r.Placement)
	}
}

// TestWhatIsSurelyAsked: a request that shows no token that passes, or an API key beside
// it, is asked about wherever its policy runs; others are as far as it can be told.
func TestWhatIsSurelyAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := *w.Config
	c.Routes = slices.Clone(c.Routes)
	for i := range c.Routes {
		r := *c.Routes[i]
		r.Limits = nil
		c.Routes[i] = &r
	}
	w.Config = &c
	good := w.token(map[string]any{"sub": "alice", "scope": "users:read"})
	key := [2]string{"x-api-key", "gw_sesame"}
	for name, c := range map[string]struct {
		path    string
		headers [][2]string
		want    string
	}{
		"a good token":            {"/users/7", [][2]string{good}, ""},
		"none":                    {"/users/7", nil, "no token of it passes"},
		"one without scopes":      {"/users/7", [][2]string{w.token(map[string]any{"sub": "alice"})}, "no token of it passes"},
		"a key":                   {"/users/7", [][2]string{key}, "no token of it passes"},
		"a key, too":              {"/users/7", [][2]string{good, key}, "it shows an API key"},
		"a key that nobody reads": {"/afar", [][2]string{w.token(map[string]any{"iss": "http://other.example", "sub": "bob", "scope": "a"}), key}, ""},
	} {
		r := w.ask(t, c.path, c.headers...)
		if len(r.Placement) != 1 || !r.Placement[0].InEnvoy || r.Placement[0].ThisToo != c.want {
			t.Errorf("%s: %+v, want %q", name, r.Placement, c.want)
		}
		var text strings.Builder
		if err := r.Write(&text); err != nil {
			t.Fatal(err)
		}
		if c.want != "" != strings.Contains(text.String(), "\n  and about this one: "+c.want+"\n") {
			t.Errorf("%s: it says\n%s", name, &text)
		}
	}
}

// TestCertificatesThatAreSurelyAsked: what is refused, and a token where the certificate is
// asked for first.
func TestCertificatesThatAreSurelyAsked(t *testing.T) {
	t.Parallel()
	const jwt, certificate = "jwt", "clientCertificate"
	of := func(kind string, verdict Verdict) Requirement { return Requirement{Kind: kind, Verdict: verdict} }
	token := [][2]string{{"authorization", "Bearer x"}}
	for name, c := range map[string]struct {
		anyOf   []Requirement
		headers [][2]string
		want    string
	}{
		"a certificate":            {[]Requirement{of(certificate, Unknown)}, nil, ""},
		"a bad one":                {[]Requirement{of(certificate, Denied)}, nil, "no certificate of it passes"},
		"neither":                  {[]Requirement{of(certificate, Denied), of(jwt, Denied)}, token, "neither a token nor a certificate of it passes"},
		"beside a token":           {[]Requirement{of(certificate, Unknown), of(jwt, Passes)}, token, "it shows a token beside its certificate"},
		"beside a bad token":       {[]Requirement{of(jwt, Denied), of(certificate, Unknown)}, token, "it shows a token beside its certificate"},
		"behind a token":           {[]Requirement{of(jwt, Passes), of(certificate, Unknown)}, token, ""},
		"a token that nobody asks": {[]Requirement{of(certificate, Unknown)}, token, ""},
	} {
		if got := surelyAsked(&authz.Policy{}, &Auth{AnyOf: c.anyOf}, Asked{Headers: c.headers}); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
