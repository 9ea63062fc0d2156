package test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// sound is the config that is poisoned. What stands before the steps keeps its
// lines.
const sound = `listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
  jwt:
    main: {issuer: "{{.issuer}}", audiences: [api], jwks: {url: "{{.issuer}}/.well-known/jwks.json"}}
  apiKey: {partners: {}}
limits:
  per-ip: {key: [clientIP], tokenBucket: {capacity: 1000000, refill: 1000000/s}}
routes:
  - {name: app, match: {path: /app/**}, auth: public, limits: [per-ip], to: [{backend: app}]}
  - {name: edit, match: {path: /edit}, auth: public, timeout: 5s, to: [{backend: app}]}
  - {name: closed, match: {path: /closed}, auth: {anyOf: [{jwt: main}, {apiKey: partners}]}, to: [{backend: app}]}
`

// poison is a kind of bad config.
type poison struct {
	name string
	// spoil makes it of a sound one.
	spoil func(t *testing.T, sound string) string
	// want is what is told, after the name of the file.
	want string
}

// edited replaces a text that the sound config has.
func edited(old, new string) func(*testing.T, string) string {
	return func(t *testing.T, sound string) string {
		t.Helper()
		if !strings.Contains(sound, old) {
			t.Fatalf("the sound config has no %q", old)
		}
		return strings.Replace(sound, old, new, 1)
	}
}

// until is the sound config up to a text, and without it.
func until(text string) func(*testing.T, string) string {
	return func(t *testing.T, sound string) string {
		t.Helper()
		before, _, found := strings.Cut(sound, text)
		if !found {
			t.Fatalf("the sound config has no %q", text)
		}
		return before
	}
}

// instead is a file that has nothing of the sound config.
func instead(text string) func(*testing.T, string) string {
	return func(*testing.T, string) string { return text }
}

// after is the sound config and something more.
func after(text string) func(*testing.T, string) string {
	return func(_ *testing.T, sound string) string { return sound + text }
}

// ofEdit changes the route named edit: it has a timeout, which any field may
// stand before.
func ofEdit(field string) func(*testing.T, string) string {
	return edited("timeout: 5s", field+", timeout: 5s")
}

// poisons are those that are found before anything reaches an Envoy.
var poisons = []poison{
	{"an open bracket", edited("routes:", "routes: ["), ":11: YAML syntax: "},
	{"a tab", edited("  app: {", "\tapp: {"), ":4: YAML syntax: "},
	{"an unknown alias", edited("endpoints: [", "endpoints: [*nobody, "), ":4: YAML syntax: unknown anchor 'nobody' referenced"},
	{"cut within a line", until("apacity"), ":10: YAML syntax: "},
	{"cut between two sections", until("routes:"), ":1: routes: is missing"},
	{"cut between two routes", until("  - {name: app"), ":11: routes: must have a value"},
	{"a comment", instead("# to do\n"), ":1: the document is empty"},
	{"null", instead("~\n"), ":1: the document is empty"},
	{"a word", instead("gateway\n"), ":1: gateway, must be a mapping, not a string"},
	{"a list", instead("- listeners\n"), ":1: must be a mapping, not a list"},
	{"JSON cut", instead(`{"listeners": [{"name": "public"`), ":1: YAML syntax: "},
	{"two documents", after("---\nlisteners: []\n"), "a second document begins here"},
	{"Latin-1", edited("name: edit", "name: \xe9dit"), ":13: the file must be UTF-8"},
	{"UTF-16", instead("\xff\xfel\x00i\x00s\x00t\x00e\x00n\x00e\x00r\x00s\x00:\x00\n\x00"), ":1: the file must be UTF-8"},
	{"a program", instead("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\n\x03\x00\x3e\x00"), ":1: the file must not contain the character U+007F"},
	{"a NUL", edited("name: edit", "name: ed\x00it"), ":13: the file must not contain the character U+0000"},
	{"an escaped line break in a name", edited("name: edit", `name: "ed\nit"`), `:13: routes[1].name: "ed\nit", must not contain the control character U+000A`},
	{"a field twice", ofEdit("timeout: 4s"), ":13: routes[1].timeout: is given twice"},
	{"a backend twice", edited("auth:\n", "  app: {endpoints: [127.0.0.1:1]}\nauth:\n"), ":5: backends.app: is given twice, first on line 4"},
	{"an unknown field", edited("endpoints:", "endpoint:"), `:4: backends.app.endpoint: unknown field, did you mean "endpoints"?`},
	{"an unknown section", edited("limits:\n", "limit:\n"), `:9: limit: unknown field, did you mean "limits"?`},
	{"a list for a mapping", edited("match: {path: /edit}", "match: [/edit]"), ":13: routes[1].match: must be a mapping, not a list"},
	{"a text for a number", edited("capacity: 1000000", "capacity: many"), ":10: limits.per-ip.tokenBucket.capacity: many, must be an integer"},
	{"a number for a text", edited("path: /edit", "path: 7"), ":13: routes[1].match.path: 7, must be a string, not an integer"},
	{"nothing for a value", edited("timeout: 5s", "timeout: "), ":13: routes[1].timeout: must have a value"},
	{"HTTP/3 without TLS", edited("name: public,", "name: public, http3: true,"), ":2: listeners[0].http3: true, needs tls"},
	{"a merge key", edited("  app: {", "  app: {<<: {protocol: http1}, "), `:4: backends.app."<<": merge keys are not supported`},
	{"no such backend", edited("timeout: 5s, to: [{backend: app}]", "to: [{backend: apq}]"), `:13: routes[1].to[0].backend: apq, there is no backend of this name; did you mean "app"?`},
	{"no such limit", edited("limits: [per-ip]", "limits: [per-up]"), ":12: routes[0].limits[0]: per-up, there is no limit of this name"},
	{"no such provider", edited("{jwt: main}", "{jwt: man}"), ":14: routes[2].auth.anyOf[0].jwt: man, there is no JWT provider of this name"},
	{"two equal routes", after("  - {name: edit2, match: {path: /edit}, auth: public, respond: {status: 200}}\n"), `route "edit2" takes the same requests as route "edit" on line 13, and nothing tells them apart`},
	{"one name for two routes", edited("name: closed", "name: edit"), ":14: routes[2].name: edit, is already the name on line 13"},
	{"no word on auth", edited("path: /edit}, auth: public,", "path: /edit},"), ":13: routes[1].auth: is missing"},
	{"a bad host", edited("match: {path: /edit", "match: {hosts: [a.*.org], path: /edit"), ":13: routes[1].match.hosts[0]: a.*.org, must have * only as its whole first label"},
	{"a bad path", edited("path: /edit", "path: /a/../edit"), ":13: routes[1].match.path: /a/../edit, must not contain . or .. as a segment"},
	{"a path too long", edited("path: /edit", "path: /"+strings.Repeat("a", 8000)), "must have at most 8000 bytes"},
	{"a bad method", edited("match: {path: /edit", "match: {methods: [TRACE], path: /edit"), ":13: routes[1].match.methods[0]: TRACE, must not be TRACE"},
	{"no regular expression", edited("match: {path: /edit", "match: {headers: {A: {regex: 'a('}}, path: /edit"), ":13: routes[1].match.headers.A.regex: \"a(\", must be a regular expression: missing closing )"},
	{"a class that RE2 lacks", edited("match: {path: /edit", `match: {headers: {A: {regex: '\p{Letter}'}}, path: /edit`), `:13: routes[1].match.headers.A.regex: "\\p{Letter}", must not name the class "Letter"`},
	{"a program that RE2 refuses", edited("match: {path: /edit", "match: {query: {a: {regex: '"+strings.Repeat("a{1000}", 1200)+"'}}, path: /edit"), "it has 1201200 steps, must have at most 100000"},
	{"a bad header name", ofEdit("request: {set: {X_A: a}}"), ":13: routes[1].request.set.X_A: must be a header name without underscores"},
	{"a header that frames", ofEdit("response: {set: {Content-Length: '5'}}"), ":13: routes[1].response.set.Content-Length: must not be set"},
	{"a header value too long", ofEdit("request: {set: {X-A: " + strings.Repeat("a", 16385) + "}}"), ":13: routes[1].request.set.X-A: must have at most 8000 bytes"},
	{"too many headers", ofEdit("response: {set: {" + numbered(1001, "X-%d: a") + "}}"), ":13: routes[1].response: must set and add at most 250 headers"},
	{"a duration without a unit", edited("timeout: 5s", "timeout: 5"), ":13: routes[1].timeout: 5, a duration needs a unit"},
	{"a negative duration", edited("timeout: 5s", "timeout: -5s"), ":13: routes[1].timeout: -5s, must not be negative"},
	{"no weight at all", edited("timeout: 5s, to: [{backend: app}]", "to: [{backend: app, weight: 0}]"), ":13: routes[1].to: must have a weight above 0"},
	{"a capacity of nothing", edited("capacity: 1000000", "capacity: 0"), ":10: limits.per-ip.tokenBucket.capacity: 0, must be > 0"},
	{"a rate without a time", edited("refill: 1000000/s", "refill: 10"), ":10: limits.per-ip.tokenBucket.refill: 10, a rate needs a time"},
	{"a limit that counts nobody", edited("key: [clientIP]", "key: [user]"), ":12: routes[0].limits[0]: per-ip, counts by user, and the route is public"},
	{"keys without a place", edited("jwks: {url: ", "jwks: {uri: "), ":7: auth.jwt.main.jwks.uri: unknown field"},
	{"keys in a file that is not there", edited("jwks: {url: ", "jwks: {file: missing.json}, x: {url: "), ":7: auth.jwt.main.jwks.file: missing.json, "},
	{"keys that are none", edited("jwks: {url: ", "jwks: {inline: 'secret'}, x: {url: "), ":7: auth.jwt.main.jwks.inline: "},
	{"keys by a strange scheme", edited(`jwks: {url: "http:`, `jwks: {url: "file:`), ":7: auth.jwt.main.jwks.url: "},
	{"a port that is none", edited("backends:\n", "  - {name: second, address: 127.0.0.1:65536}\nbackends:\n"), ":3: listeners[1].address: 127.0.0.1:65536, must have a port from 1 to 65535"},
	{"a listener by name", edited("backends:\n", "  - {name: second, address: localhost:80}\nbackends:\n"), ":3: listeners[1].address: localhost:80, must be an IP address and a port"},
	{"a listener that no system takes", edited("backends:\n", "  - {name: second, address: '[::ffff:127.0.0.1]:8080'}\nbackends:\n"), `:3: listeners[1].address: "[::ffff:127.0.0.1]:8080", must be written as 127.0.0.1`},
	{"two listeners on one address", repeatedListener, "is already the address of the listener on line 2"},
	{"a backend that is the gateway", loopingBackend, "is the gateway's own listener: requests would go round in a loop"},
	{"a backend that hands out credentials", edited("endpoints: [", "endpoints: ['169.254.169.254:80', "), `:4: backends.app.endpoints[0]: "169.254.169.254:80", must not be an instance metadata or link-local address`},
	{"no listener", edited("  - {name: public", "  #"), ":1: listeners: must have a value"},
	{"a page that may do all", ofEdit(`cors: {origins: ["*"], credentials: true}`), ":13: routes[1].cors.credentials: true, must not be true for every origin"},
	{"a redirect to itself", edited("timeout: 5s, to: [{backend: app}]", "redirect: {status: 301}"), ":13: routes[1].redirect: must name another scheme, host, port or path"},
	{"a body too long", edited("timeout: 5s, to: [{backend: app}]", "respond: {status: 200, body: "+strings.Repeat("a", 4097)+"}"), "must be at most 4096 bytes"},
	{"a bomb of aliases", after(aliasBomb()), "]: must be a mapping, not a list"},
	{"more aliases than anybody writes", after(manyAliases()), "the aliases of the file stand for more than 100000 values"},
	{"brackets without end", instead("listeners: " + strings.Repeat("[", 200_000)), ":1: YAML syntax: "},
	{"more faults than anybody reads", after(strings.Repeat("  - {}\n", 2000)), "more than 1000 faults: the rest are not shown"},
}

// numbered is a format for each number below n, as the entries of a mapping.
func numbered(n int, format string) string {
	var entries []string
	for i := range n {
		entries = append(entries, fmt.Sprintf(format, i))
	}
	return strings.Join(entries, ", ")
}

// aliasBomb is a few lines that stand for 10^8 words, which are no routes.
func aliasBomb() string {
	var b strings.Builder
	b.WriteString("  - &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 7 {
		fmt.Fprintf(&b, "  - &a%d [*a%d%s]\n", i+1, i, strings.Repeat(fmt.Sprintf(", *a%d", i), 9))
	}
	for i := range 100 {
		fmt.Fprintf(&b, "  - {name: bomb-%d, match: {path: /bomb, hosts: *a7}, auth: public, respond: {status: 200}}\n", i)
	}
	return b.String()
}

// manyAliases are routes that say 120 000 hosts by an alias.
func manyAliases() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - {name: hosts, match: {path: /hosts, hosts: &hosts [%s]}, auth: public, respond: {status: 200}}\n", numbered(400, "h%d.org"))
	for i := range 300 {
		fmt.Fprintf(&b, "  - {name: hosts-%d, match: {path: /hosts/%d, hosts: *hosts}, auth: public, respond: {status: 200}}\n", i, i)
	}
	return b.String()
}

func listenerLine(t *testing.T, sound string) string {
	t.Helper()
	_, rest, _ := strings.Cut(sound, "\n")
	line, _, _ := strings.Cut(rest, "\n")
	if !strings.Contains(line, "name: public") {
		t.Fatalf("not the listener: %s", line)
	}
	return line
}

func repeatedListener(t *testing.T, sound string) string {
	line := listenerLine(t, sound)
	return edited("backends:\n", strings.Replace(line, "public", "second", 1)+"\nbackends:\n")(t, sound)
}

func loopingBackend(t *testing.T, sound string) string {
	address := regexp.MustCompile(`"(.*)"`).FindStringSubmatch(listenerLine(t, sound))[1]
	return edited("endpoints: [", fmt.Sprintf("endpoints: [%q, ", address))(t, sound)
}
