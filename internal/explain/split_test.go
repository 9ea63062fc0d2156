package explain

import (
	"strings"
	"testing"

	"github.com/gatewright/gatewright/config"
)

const splits = `
listeners: [{name: public, address: "127.0.0.1:8080"}]
backends:
  app: {endpoints: ["10.0.0.1:80"]}
  next: {endpoints: ["10.0.0.2:80"]}
auth:
  jwt:
    here: {issuer: "http://id.example", audiences: [api], jwks: {inline: '{{KEYS}}'}}
  apiKey: {partners: {}}
routes:
- {name: user, match: {path: /user}, auth: {anyOf: [{jwt: here}, {apiKey: partners}]}, to: [{backend: app, weight: 9}, {backend: next, weight: 1}], sticky: [user, "header:X-Device"], pin: {cookie: side, values: {new: next, old: app}}}
- {name: claim, match: {path: /claim}, auth: {anyOf: [{jwt: here}]}, to: [{backend: app, weight: 1}, {backend: next, weight: 0}], pin: {claim: group, values: {testers: next}}}
- {name: device, match: {path: /device}, auth: public, to: [{backend: app, weight: 3}, {backend: next, weight: 1}], sticky: ["cookie:session", clientIP]}
`

// TestSideIsExplained: which, why, and by what of the request, of which no value is
// shown.
func TestSideIsExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, err := config.Parse("gateway.yaml", []byte(strings.Replace(splits, "{{KEYS}}", publicKeys(w.issuer), 1)))
	if err != nil {
		t.Fatal(err)
	}
	w.Config = c
	w.KeySets.Ensure(t.Context(), []*config.JWT{c.Auth.JWT["here"]})
	alice := w.token(map[string]any{"sub": "alice"})
	for _, q := range []struct {
		path             string
		headers          [][2]string
		backends         string
		pinned, keptText string
	}{
		{"/user", [][2]string{alice}, "app", "the cookie side could choose: new, old", "user keeps it on app: point 583514 of 1000000, of which app has 0 to 899999, next has 900000 to 999999"},
		{"/user", [][2]string{alice, {"Cookie", "a=b; side=new"}}, "next", "the cookie side chooses next", ""},
		{"/user", [][2]string{alice, {"Cookie", "side=s3cret"}}, "app", "could choose", "point 583514"},
		{"/user", [][2]string{{"X-API-Key", "gw_key"}}, "app next", "could choose", "by user, header:X-Device: the caller is not known"},
		{"/claim", [][2]string{w.token(map[string]any{"sub": "alice", "group": "testers"})}, "next", "the claim group chooses next", ""},
		{"/claim", [][2]string{alice}, "app next", "the claim group could choose: testers", ""},
		{"/device", [][2]string{{"Cookie", "session=s3cret"}}, "next", "", "cookie:session keeps it on next: point 969813"},
		{"/device", nil, "app", "", "clientIP keeps it on app: point"},
	} {
		r := w.ask(t, q.path, q.headers...)
		var to []string
		for _, b := range r.Then.Backends {
			to = append(to, b.Name)
		}
		if got := strings.Join(to, " "); got != q.backends || !strings.Contains(r.Then.Pinned, q.pinned) || !strings.Contains(r.Then.Sticky, q.keptText) || (q.keptText == "") != (r.Then.Sticky == "") {
			t.Errorf("%s %v: to %q, pin %q, sticky %q", q.path, q.headers, got, r.Then.Pinned, r.Then.Sticky)
		}
		var text strings.Builder
		if err := r.Write(&text); err != nil || strings.Contains(text.String(), "s3cret") {
			t.Errorf("%s: %v in %s", q.path, err, &text)
		}
	}
}
