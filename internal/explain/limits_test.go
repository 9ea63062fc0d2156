package explain

import (
	"strings"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// TestLimitsAreExplained: what a request costs, by what it is counted, and whether
// that is so for one that is refused.
func TestLimitsAreExplained(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("f.yaml", []byte(`
listeners: [{name: public, address: 127.0.0.1:8080}]
backends: {app: {endpoints: ["10.0.0.1:80"]}}
auth: {apiKey: {partners: {}}}
limits:
  ip: {key: [clientIP, method, 'rule:request.path'], cost: {header: X-Cost, max: 9}, mode: shadow, tokenBucket: {capacity: 20, refill: 10/s}}
  user: {key: [user], cost: {rule: 'caller.plan == "gold" ? 1 : 2'}, tokenBucket: {capacity: 20, refill: 10/s}}
  five: {key: [route], cost: 5, tokenBucket: {capacity: 20, refill: 10/s}}
routes:
- {name: r, match: {path: /r}, auth: {anyOf: [{apiKey: partners}]}, limits: [ip, user, five], to: [{backend: app}]}
`))
	if err != nil {
		t.Fatal(err)
	}
	asked, err := ParseURL("http://a.example/r?x=1")
	if err != nil {
		t.Fatal(err)
	}
	asked.Method, asked.ClientIP, asked.Headers = "POST", "192.0.2.7", [][2]string{{"X-Cost", "12"}}
	o := Options{Config: c, ClientIPKey: func(a string, bits int) string { return a }}
	var text strings.Builder
	if err := Explain(t.Context(), o, asked).Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"  in shadow: it denies nobody\n",
		"  by clientIP: \"192.0.2.7\"\n  by method: \"POST\"\n  by rule:request.path: \"/r\"\n  costs 9, as header:X-Cost says\n  charged also where the credential is refused\n",
		"  by user: unknown: the caller is not known\n  costs what rule:caller.plan == \"gold\" ? 1 : 2 says, unknown: the caller is not known\n",
		"  by route: \"r\"\n  costs 5\n  charged also where the credential is refused\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("not there: %s", want)
		}
	}
	if t.Failed() {
		t.Log(text.String())
	}
}
