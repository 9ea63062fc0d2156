package test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/gatewright/gatewright/config"
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
	{"empty", instead(""), ":1: the document is empty"},
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
	{"a field that is to come", edited("name: public,", "name: public, http3: true,"), ":2: listeners[0].http3: not yet supported"},
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

// poisoned is a gateway under load that is fed one bad config after the other.
type poisoned struct {
	*gateway
	t     *testing.T
	text  string // the sound config, with steps
	steps int
}

func startPoisoned(t *testing.T) *poisoned {
	t.Helper()
	g := start(t, setup{config: sound, values: map[string]string{"app": backend(t, "app").Addr(), "issuer": idp(t).Issuer()}})
	p := &poisoned{gateway: g, t: t, text: string(g.render(sound))}
	p.goOn()
	p.wantStatus("applied", "")
	return p
}

// put writes the file as it is, in one step.
func (p *poisoned) put(text string) {
	p.t.Helper()
	if err := os.WriteFile(p.file+".next", []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(p.file+".next", p.file); err != nil {
		p.t.Fatal(err)
	}
}

// goOn makes a good change: a route that serves soon after.
func (p *poisoned) goOn() {
	p.t.Helper()
	p.steps++
	p.text += fmt.Sprintf("  - {name: step-%d, match: {path: /step-%d}, auth: public, respond: {status: 200}}\n", p.steps, p.steps)
	p.put(p.text)
	p.servesStep()
}

// servesStep waits until the newest step is served.
func (p *poisoned) servesStep() {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("step %d is served", p.steps), func() error {
		if r := get(p.t, p.url("public", fmt.Sprintf("/step-%d", p.steps))); r.Status != http.StatusOK {
			return errStatus(r)
		}
		return nil
	})
}

// serves checks that all is served as before.
func (p *poisoned) serves() {
	p.t.Helper()
	for path, status := range map[string]int{"/app/1": 200, "/edit": 200, "/closed": 401, fmt.Sprintf("/step-%d", p.steps): 200} {
		if r := get(p.t, p.url("public", path)); r.Status != status {
			p.t.Errorf("%s: %v, want %d", path, errStatus(r), status)
		}
	}
}

// wantStatus waits until the command tells this of the last change.
func (p *poisoned) wantStatus(result, fault string) (r statusReport) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("the status is %s: %s", result, fault), func() error {
		var code int
		r, code = p.status()
		told := slices.ContainsFunc(r.LastReload.Faults, func(f string) bool { return strings.Contains(f, fault) })
		if r.LastReload.Result != result || told != (fault != "") || (code == 0) != (fault == "") {
			return fmt.Errorf("exit code %d: %.2000s", code, fmt.Sprintf("%+v", r))
		}
		return nil
	})
	return r
}

// wantLogged waits until the log after a position tells it.
func (p *poisoned) wantLogged(position int, text string) {
	p.t.Helper()
	eventually(p.t, "the log tells it", func() error {
		// A log line has the quotes of a text escaped.
		told := p.stderr.String()[position:]
		if !strings.Contains(told, text) && !strings.Contains(told, strings.Trim(strconv.Quote(text), `"`)) {
			return fmt.Errorf("%q is not in %.2000s", text, told)
		}
		return nil
	})
}

// asksFor is a request to the gateway that must be answered with 200.
func (g *gateway) asksFor(path string, headers ...header) func() error {
	url := g.url("public", path)
	return func() error {
		r, err := try(http.MethodGet, url, headers...)
		if err == nil && r.Status != http.StatusOK {
			err = errStatus(r)
		}
		return err
	}
}

// envoyStays checks that Envoy has not been started a second time.
func (p *poisoned) envoyStays() {
	p.t.Helper()
	if pids := p.envoyPIDs(); len(pids) != 1 {
		p.t.Errorf("Envoys: %v, want the one from the start", pids)
	}
}

// TestPoisonChangesNothing: each kind of bad file is told in the log and by
// status with its line, path and rule; what was served still is, under load;
// nothing of it reaches Envoy; and the next good change is served.
func TestPoisonChangesNothing(t *testing.T) {
	t.Parallel()
	p := startPoisoned(t)
	requests := steady(p.asksFor("/app/1"), p.asksFor("/edit"))
	answers, steps := p.xdsAnswers(), p.steps
	for _, kind := range poisons {
		version := p.wantStatus("applied", "").Config.Version
		position := len(p.stderr.String())
		p.put(kind.spoil(t, p.text))
		p.wantLogged(position, kind.want)
		want := kind.want
		if strings.HasPrefix(want, ":") {
			want = "gateway.yaml" + want
		}
		if now := p.wantStatus("invalid", want).Config.Version; now != version {
			t.Errorf("%s: version %s is served, want %s still", kind.name, now, version)
		}
		p.serves()
		p.goOn()
		if t.Failed() {
			t.Fatal("after: " + kind.name)
		}
	}
	// A good change of one route is one response: the table.
	if n, good := p.xdsAnswers()-answers, p.steps-steps; n != good {
		t.Errorf("Envoy has answered %d times to %d good changes and %d bad ones", n, good, len(poisons))
	}
	p.envoyStays()
	requests.stop(t)
}

// TestPoisonThatCannotBeRead: a file that is too large, gone, or no file.
// Whatever stands there afterwards, also the same as before, is heeded.
func TestPoisonThatCannotBeRead(t *testing.T) {
	t.Parallel()
	p := startPoisoned(t)
	requests := steady(p.asksFor("/app/1"), p.asksFor("/edit"))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []struct {
		name  string
		spoil func()
		want  string
	}{
		{"too large", func() {
			must(os.WriteFile(p.file+".next", nil, 0o600))
			must(os.Truncate(p.file+".next", config.MaxSize+1))
			must(os.Rename(p.file+".next", p.file))
		}, fmt.Sprintf("has %d bytes, must have at most %d", config.MaxSize+1, config.MaxSize)},
		{"gone", func() { must(os.Remove(p.file)) }, "no such file or directory"},
		{"a folder", func() { must(os.Remove(p.file)); must(os.Mkdir(p.file, 0o700)) }, "is not a file"},
		{"a link to itself", func() { must(os.Remove(p.file)); must(os.Symlink(p.file, p.file)) }, "too many levels of symbolic links"},
	} {
		position := len(p.stderr.String())
		kind.spoil()
		p.wantLogged(position, kind.want)
		p.wantStatus("unreadable", kind.want)
		p.serves()
		must(os.RemoveAll(p.file))
		p.put(p.text)
		p.wantStatus("unchanged", "")
		p.goOn()
		p.wantStatus("applied", "")
	}
	p.envoyStays()
	requests.stop(t)
}

// TestPoisonForEnvoy: what only an Envoy can know is refused by it once, told
// in its words, and alone not served.
func TestPoisonForEnvoy(t *testing.T) {
	t.Parallel()
	p := startPoisoned(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	requests := steady(p.asksFor("/app/1"), p.asksFor("/edit"))
	before, answers, steps := time.Now(), p.xdsAnswers(), p.steps
	second := func(address string) func(*testing.T, string) string {
		return edited("backends:\n", "  - {name: second, address: \""+address+"\"}\nbackends:\n")
	}
	kinds := []poison{
		{"a port in use", second(taken.Addr().String()), "Listener second: refused by Envoy gatewright: Error adding/updating listener(s) second: cannot bind '" + taken.Addr().String() + "': Address already in use"},
		{"an address that is not ours", second("192.0.2.1:8080"), "cannot bind '192.0.2.1:8080': Cannot assign requested address"},
		{"an IPv6 address that is not ours", second("[2001:db8::1]:8080"), "cannot bind '[2001:db8::1]:8080': Cannot assign requested address"},
		{"the gateway's own admin port", second(p.admin), "cannot bind '" + p.admin + "': Address already in use"},
		{"the listener in use moves to a port in use", func(t *testing.T, sound string) string {
			return edited(p.listeners["public"], taken.Addr().String())(t, sound)
		}, "Listener public: refused by Envoy gatewright: Error adding/updating listener(s) public: cannot bind '" + taken.Addr().String() + "': Address already in use"},
	}
	for i, kind := range kinds {
		position := len(p.stderr.String())
		p.steps++
		p.text += fmt.Sprintf("  - {name: step-%d, match: {path: /step-%d}, auth: public, respond: {status: 200}}\n", p.steps, p.steps)
		bad := kind.spoil(t, p.text)
		p.put(bad)
		p.wantStatus("refused", kind.want)
		_, words, _ := strings.Cut(kind.want, "cannot bind ")
		p.wantLogged(position, words)
		p.servesStep() // the rest of the change
		p.serves()
		p.goOn() // without it
		p.wantStatus("applied", "")
		if m := p.metrics(); !strings.Contains(m, fmt.Sprintf("\ngatewright_xds_nacks_total{type=\"Listener\"} %d\n", i+1)) {
			t.Errorf("%s: not refused exactly once: %s", kind.name, only(m, "gatewright_xds_nacks_total"))
		}
		if t.Failed() {
			t.Fatal("after: " + kind.name)
		}
	}
	if most := 5 * time.Since(before).Seconds(); float64(p.xdsAnswers()-answers-(p.steps-steps)) > most {
		t.Errorf("Envoy has answered %d times to %d changes, want at most 5 times a second more", p.xdsAnswers()-answers, p.steps-steps)
	}
	p.envoyStays()
	requests.stop(t)
}

// TestRefusalStaysTold: a broken file that comes and goes does not make a part
// that is not served forgotten.
func TestRefusalStaysTold(t *testing.T) {
	t.Parallel()
	p := startPoisoned(t)
	p.text = edited("backends:\n", "  - {name: second, address: \""+p.admin+"\"}\nbackends:\n")(t, p.text)
	p.put(p.text)
	p.wantStatus("refused", "Listener second: refused by Envoy")
	p.put("listeners: [")
	p.wantStatus("invalid", "YAML syntax")
	p.put(p.text)
	p.wantStatus("refused", "Listener second: refused by Envoy")
	p.put(p.text + "# a word\n")
	p.wantStatus("refused", "Listener second: refused by Envoy")
}

// TestEnvoyTakesWhatCheckTakes, at the edges of the rules that exist because it
// would not take more.
func TestEnvoyTakesWhatCheckTakes(t *testing.T) {
	t.Parallel()
	p := startPoisoned(t)
	classes := `\p{Any}`
	for _, known := range []map[string]*unicode.RangeTable{unicode.Categories, unicode.Scripts} {
		for name := range known {
			if _, err := config.CompileExpression(`\p{` + name + `}`); err == nil {
				classes += `\p{` + name + `}`
			}
		}
	}
	value := strings.Repeat("%", 8000)
	for _, edge := range []string{
		"match: {path: /edge, headers: {A: {regex: '" + classes + "'}}}, respond: {status: 200}",
		"match: {path: /edge, headers: {A: {regex: '" + strings.Repeat("a{1000}", 99) + "'}}}, respond: {status: 200}",
		"match: {path: /edge, query: {a: {regex: '" + strings.Repeat(`\W{1000}`, 9) + "'}}}, respond: {status: 200}",
		"match: {path: '/" + strings.Repeat("a/", 3996) + "{x}" + "'}, respond: {status: 200}",
		"match: {path: \"" + manyVariables(8000) + "\"}, respond: {status: 200}",
		"match: {path: /edge}, to: [{backend: app, request: {set: {" + numbered(250, "A-%d: a") + "}}}], request: {set: {" + numbered(125, "B-%d: a") +
			"}, add: {" + numbered(125, "C-%d: a") + "}}, response: {add: {" + numbered(250, "D-%d: a") + "}}, cors: {origins: ['*']}",
		"match: {path: /edge}, respond: {status: 200, headers: {" + numbered(250, "A-%d: a") + "}}, response: {set: {" + numbered(250, "B-%d: a") + "}}",
		"match: {path: /edge}, to: [{backend: app}], request: {set: {X-A: '" + value + "', ? " + strings.Repeat("N", 256) + " : '" + value + "'}}",
		"match: {path: /edge}, respond: {status: 200, body: " + strings.Repeat("a", 4096) + ", headers: {X-A: '" + value + "'}}",
	} {
		text := p.text
		p.text += "  - {name: edge, auth: public, " + edge + "}\n"
		p.goOn()
		p.wantStatus("applied", "")
		p.text = text
	}
	if m := only(p.metrics(), "gatewright_xds_nacks_total"); m != "" {
		t.Error(errors.New(m))
	}
}

// manyVariables is a path of variables alone.
func manyVariables(bytes int) string {
	var b strings.Builder
	for i := 0; ; i++ {
		next := fmt.Sprintf("/{v%d}", i)
		if b.Len()+len(next) > bytes {
			return b.String()
		}
		b.WriteString(next)
	}
}
