package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/gatewright/gatewright/config"
)

// step is one thing to try: what happens, and the line to paste.
type step struct{ what, line string }

// tour are the steps, for a gateway at base, whose provider is at issuer.
func tour(base, issuer, file, key string) []step {
	return []step{
		{"No credential: 401, and the reason.",
			`curl -si ` + base + `/users/1`},
		{"A token: 200, and the backend shows X-User-Id, X-User-Role, X-Trace-Id and Traceparent.",
			`TOKEN=$(curl -s '` + issuer + `/token?sub=alice&role=buyer&tenant=acme&scope=users:read'); curl -si -H "Authorization: Bearer $TOKEN" ` + base + `/users/1`},
		{"An API key: 200.",
			`curl -si -H 'X-API-Key: ` + key + `' ` + base + `/users/1`},
		{"One too many: three 200, then 429 with Retry-After.",
			`for i in 1 2 3; do curl -so /dev/null -w '%{http_code}\n' ` + base + `/limited; done; curl -si ` + base + `/limited`},
		{"The canary: about one in ten of 200 requests.",
			`curl -s '` + base + `/canary/[1-200]' | grep -o '"backend":"[^"]*"' | sort | uniq -c`},
		{"Choose its side: always the new version.",
			`curl -s -H 'X-Canary: always' ` + base + `/canary/1 | grep -o '"backend":"[^"]*"'`},
		{"Edit the file, without a restart: /hello has another answer.",
			`sed -i.bak 's/body: "hello/body: "good day/' ` + file + `; sleep 1; curl -s ` + base + `/hello; mv ` + file + `.bak ` + file},
	}
}

func printTour(w io.Writer, c *config.Config, file, key string) {
	base := "http://" + c.Listeners[0].Address
	var issuer string
	for _, p := range c.Auth.JWT {
		issuer = strings.TrimSuffix(p.Issuer, "/")
	}
	var b strings.Builder
	b.WriteString("\nThe gateway is ready. Paste these into another terminal; here each request is a line of JSON.\n\n")
	for _, s := range tour(base, issuer, file, key) {
		fmt.Fprintf(&b, "# %s\n%s\n\n", s.what, s.line)
	}
	b.WriteString("Ctrl-C ends it.\n\n")
	_, _ = io.WriteString(w, b.String()) // a tour that nobody sees is no failure
}

// keyOf reads the output of `gatewright keys create -o json`.
func keyOf(out []byte) (string, error) {
	var created struct{ Key string }
	if err := json.Unmarshal(out, &created); err != nil || created.Key == "" {
		return "", fmt.Errorf("reading the new API key: %w", err)
	}
	return created.Key, nil
}
