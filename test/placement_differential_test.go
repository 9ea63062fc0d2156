package test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A twinForm is a kind of config that both gateways of a pair have.
type twinForm struct {
	name string
	// scoped has so many routes that they are served host by host.
	scoped bool
	// limited has a limit on each of its generated routes, and one listener alone: where
	// there are two, limits are counted by Gatewright. The others have one with TLS, too.
	limited bool
	// module has the one that need not ask remember verdicts, and each request is made
	// twice: the second time there may be one.
	module bool
	// policies is how many are generated.
	policies int
	// pairs is how many requests one check of rapid makes to both gateways. By default
	// rapid makes a hundred checks.
	pairs int
}

var twinForms = []twinForm{
	{name: "table", policies: 60, pairs: 35},
	{name: "scoped", scoped: true, policies: 60, pairs: 10},
	{name: "limited", limited: true, policies: 16, pairs: 10},
	{name: "module", module: true, policies: 40, pairs: 5},
	{name: "limited by module", module: true, limited: true, policies: 16, pairs: 2},
}

// twins are two gateways with the same config, each with an Envoy of its own: one of
// them runs policies inside Envoy, where it can, and the other asks about each request.
type twins struct {
	t     *testing.T
	form  twinForm
	began time.Time
	// cases are judged before what is generated.
	cases     []placementCase
	routes    []object
	generated []object
	key       apiKey
	// one is the gateway that asks, other the one that need not.
	one, other *gateway
	// ways are how requests reach them: by HTTP/1.1 and HTTP/2, in plain text and by TLS.
	ways [][2]*wire
	// asked are the requests so far, by their numbers, which stand in User-Agent.
	asked []wireRequest
	// answers counts them, by their reasons and statuses.
	answers map[string]int
	// unanswered is how often a pair was asked anew, as one of the two had no answer in
	// time.
	unanswered int
}

// TestPlacementsAgree: wherever a policy runs, a request gets the same answer, for the
// same reason, and a backend is told the same, and so are the log and the metrics.
//
// PLACEMENT_ROUNDS says how many times all forms are gone through, each with policies of
// its own (`make placement`); PLACEMENT_SEED is the seed of the first policies.
func TestPlacementsAgree(t *testing.T) {
	t.Parallel()
	seed := int(time.Now().UnixNano() % 1_000_000_000)
	if text := os.Getenv("PLACEMENT_SEED"); text != "" {
		seed = number(t, text)
	}
	rounds := 1
	if text := os.Getenv("PLACEMENT_ROUNDS"); text != "" {
		rounds = number(t, text)
	}
	for round := range rounds {
		t.Run(fmt.Sprint("PLACEMENT_SEED=", seed+round), func(t *testing.T) {
			for _, form := range twinForms {
				t.Run(form.name, func(t *testing.T) { form.agrees(t, seed+round) })
			}
		})
	}
}

// agrees asks a pair of gateways of this form.
func (form twinForm) agrees(t *testing.T, seed int) {
	w := startTwins(t, form, generatedRoutes(form).Example(seed))
	w.waitPlaced()
	w.askCases()
	if form.limited {
		w.askLimitCases()
	} else {
		w.askIdentityTokens()
	}
	t.Run("generated", func(t *testing.T) {
		requests := requestsTo(w.generated, w.key, len(w.ways))
		rapid.Check(t, func(t *rapid.T) {
			for range form.pairs {
				request := requests.Draw(t, "request")
				w.compare(t, request)
				if form.module {
					w.compare(t, request)
				}
			}
		})
	})
	w.compareLogs()
	w.compareMetrics()
	w.needNotAsk()
}

func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// startTwins starts both gateways, which share a backend and a store of keys.
func startTwins(t *testing.T, form twinForm, generated []object) *twins {
	t.Helper()
	folder, app, certificates := t.TempDir(), backend(t, "app"), newPEMs(t)
	keys := filepath.Join(folder, "jwks.json")
	if err := os.WriteFile(keys, madeKeys().set(t), 0o600); err != nil {
		t.Fatal(err)
	}
	certificates.server("first", "api.example.com")
	w := &twins{t: t, form: form, began: time.Now(), answers: map[string]int{}, cases: placementCases(), generated: generated}
	if form.limited {
		w.cases = w.cases[:1]
	}
	w.routes = append(caseRoutes(w.cases), generated...)
	if form.limited {
		w.routes = append(w.routes, limitCaseRoutes()...)
	} else {
		w.routes = append(w.routes, identityRoutes()...)
	}
	config := w.config(t)
	placed := func(placement string) *gateway {
		return start(t, setup{
			config: config, module: form.module && placement == "auto",
			values: map[string]string{"app": app.Addr(), "keys": keys, "placement": placement, "certs": certificates.folder},
			env:    []string{"GATEWRIGHT_DATABASE_URL=sqlite:" + filepath.Join(folder, "keys.db")},
		})
	}
	w.one, w.other = placed("service"), placed("auto")
	w.key = w.one.createKey("--tenant", "acme", "--owner", "carol")
	w.connect("public", nil)
	if !form.limited {
		w.connect("secure", &tls.Config{RootCAs: certificates.ca.Pool(), ServerName: "api.example.com"})
	}
	return w
}

// config is the config of both.
func (w *twins) config(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(inPlainText)
	if !w.form.limited {
		b.WriteString(securedToo)
	}
	b.WriteString(providers)
	limits, err := json.Marshal(limitsOf(w.generated))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "limits: %s\n", limits)
	b.WriteString("routes:\n" + inYAML(t, w.routes))
	if w.form.scoped {
		b.WriteString(manyRoutes(100, 10))
	}
	return b.String()
}

// connect adds two ways to a listener.
func (w *twins) connect(listener string, secured *tls.Config) {
	for _, frames := range []bool{false, true} {
		var way [2]*wire
		for i, g := range []*gateway{w.one, w.other} {
			way[i] = &wire{addr: g.listeners[listener], frames: frames}
			if secured != nil {
				way[i].secured = secured.Clone()
				way[i].secured.NextProtos = []string{"http/1.1"}
				if frames {
					way[i].secured.NextProtos = []string{"h2"}
				}
			}
			w.t.Cleanup(way[i].close)
		}
		w.ways = append(w.ways, way)
	}
}

// waitPlaced waits until the gateway that need not ask about a good token does not: its
// Envoy gets keys and policies beside the listener, a little later.
func (w *twins) waitPlaced() {
	w.t.Helper()
	r := w.cases[0].request(0)
	eventually(w.t, "a good token is not asked about", func() error {
		before := checks(w.t, w.other)
		if answer := w.compare(w.t, r); answer.status != 200 {
			return fmt.Errorf("%d %s", answer.status, answer.body)
		}
		if checks(w.t, w.other) != before {
			return errors.New("it is")
		}
		return nil
	})
}

// failer is a test, or a check of rapid.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// compare asks both gateways and fails where their answers differ.
func (w *twins) compare(t failer, r wireRequest) wireAnswer {
	t.Helper()
	r.headers = append(slices.Clone(r.headers), header{"User-Agent", fmt.Sprint("pair/", len(w.asked))})
	w.asked = append(w.asked, r)
	answers, errs := w.askBoth(r)
	// On a machine that stands still, a question may go unanswered in its time. Nothing in
	// these configs is unavailable by itself.
	for range 20 {
		if answers[0].status != http.StatusServiceUnavailable && answers[1].status != http.StatusServiceUnavailable {
			break
		}
		w.unanswered++
		time.Sleep(100 * time.Millisecond)
		answers, errs = w.askBoth(r)
	}
	if (errs[0] == nil) != (errs[1] == nil) {
		t.Fatalf("one answers, the other does not: %v, %v\n%s\n%s", errs[0], errs[1], r, w.policyOf(r))
	}
	if !w.same(answers) {
		t.Fatalf("asked, it is\n%d\n%s\n%s\n%s\nin Envoy, it is\n%d\n%s\n%s\n%s\nof (by way %d)\n%s\n%s\n%s", answers[0].status, answers[0].headers, answers[0].times, answers[0].body,
			answers[1].status, answers[1].headers, answers[1].times, answers[1].body, r.by, r, explained(r), w.policyOf(r))
	}
	w.answers[fmt.Sprint(answers[0].status, " ", answers[0].reason())]++
	return answers[0]
}

// askedAnew is how many requests may have been judged, and charged, twice by one of the
// two: those that had no answer.
func (w *twins) askedAnew() int {
	n := w.unanswered
	for _, way := range w.ways {
		n += way[0].twice + way[1].twice
	}
	return n
}

// same tells whether two answers are one. Where a request was perhaps charged twice by
// one of the two, they may not be of one mind on what is left any more.
func (w *twins) same(answers [2]wireAnswer) bool {
	a, b := answers[0], answers[1]
	if w.form.limited && w.askedAnew() > 0 {
		if a.status == http.StatusTooManyRequests || b.status == http.StatusTooManyRequests {
			return true
		}
		a, b = a.withoutLimits(), b.withoutLimits()
	}
	return a.same(b, time.Since(w.began)+time.Second)
}

func (w *twins) askBoth(r wireRequest) (answers [2]wireAnswer, errs [2]error) {
	var both sync.WaitGroup
	for i, way := range w.ways[r.by] {
		both.Go(func() { answers[i], errs[i] = way.ask(r) })
	}
	both.Wait()
	return answers, errs
}

// explained are the header and the claims of a request's token as texts.
func explained(r wireRequest) string {
	for _, h := range r.headers {
		if strings.EqualFold(h.name, "authorization") {
			var parts []string
			for part := range strings.SplitSeq(h.value[strings.LastIndexByte(h.value, ' ')+1:], ".") {
				text, _ := segmentText(part)
				parts = append(parts, text)
			}
			if len(parts) > 1 {
				return strings.Join(parts[:2], "\n")
			}
		}
	}
	return ""
}

// policyOf is the route of a request whose path is as plain as most, as it is in the
// config.
func (w *twins) policyOf(r wireRequest) string {
	for _, route := range w.routes {
		if strings.HasPrefix(r.target, "/"+route["name"].(string)+"/") {
			text, err := json.Marshal(route)
			if err != nil {
				return err.Error()
			}
			return string(text)
		}
	}
	return ""
}

// passingFields are those of an access log's line that differ from one request to the
// next, whoever judges. The version of the config says where that is: see configTold.
var passingFields = []string{"time", "duration_ms", "upstream_ms", "trace_id", "request_id", "bytes_out"}

// compareLogs compares what the access logs say of each request.
func (w *twins) compareLogs() {
	w.t.Helper()
	w.compare(w.t, wireRequest{method: "GET", target: "/nowhere", headers: []header{{"Host", "last"}}})
	one, other := w.logged(w.one), w.logged(w.other)
	differ := 0
	for i, r := range w.asked {
		agent := fmt.Sprint("pair/", i)
		a, b := one[agent], other[agent]
		if a == b || w.form.limited && w.askedAnew() > 0 {
			continue
		}
		if differ++; differ <= 5 {
			w.t.Errorf("logged when asked:\n%s\nlogged in Envoy:\n%s\nof\n%s\n%s\n%s", a, b, r, explained(r), w.policyOf(r))
		}
	}
	if differ > 5 {
		w.t.Errorf("%d lines of %d differ in all", differ, len(w.asked))
	}
}

// logged are the lines of a gateway's log without what is passing, by the user agents,
// once the last request is there. A request that was made again, as its connection had
// ended, is there more than once, and counts as the last.
func (w *twins) logged(g *gateway) map[string]string {
	w.t.Helper()
	lines := map[string]string{}
	for agent, line := range pairLines(w.t, g, len(w.asked)) {
		if line["status"] == 429.0 {
			delete(line, "flags") // Envoy's own of who has denied
		} else { // what is left is told by verdicts alone
			delete(line, "limit")
			delete(line, "remaining")
		}
		var text strings.Builder
		for _, name := range slices.Sorted(maps.Keys(line)) {
			fmt.Fprintf(&text, "%s: %v\n", name, line[name])
		}
		lines[agent] = text.String()
	}
	return lines
}

// pairLines are the last lines of a gateway's log of each of so many requests, by their
// user agents and without what is passing, once the last request is there.
func pairLines(t testing.TB, g *gateway, asked int) map[string]logLine {
	t.Helper()
	last := fmt.Sprintf(`"pair/%d"`, asked-1)
	eventually(t, "the last request is logged", func() error {
		if !strings.Contains(g.stdout.String(), last) {
			return fmt.Errorf("%s is not there yet", last)
		}
		return nil
	})
	lines, version := map[string]logLine{}, g.version()
	for _, line := range g.accessLog() {
		agent, _ := line["user_agent"].(string)
		configTold(line, version)
		for _, name := range passingFields {
			delete(line, name)
		}
		lines[agent] = line
	}
	return lines
}

// comparedMetrics are those that count requests by what was said of them.
var comparedMetrics = regexp.MustCompile(`(?m)^(gatewright_verdicts_total|gatewright_shadow_total)(\{.*\}) (\d+)$`)

// compareMetrics compares what both gateways have counted, once what Envoy has told of the
// last requests has come. A request that may have been judged twice may be counted twice.
func (w *twins) compareMetrics() {
	w.t.Helper()
	eventually(w.t, "both have counted the same", func() error {
		apart, lines := 0, []string{}
		one, other := countedOf(w.t, w.one), countedOf(w.t, w.other)
		for name := range one {
			other[name] += 0
		}
		for _, name := range slices.Sorted(maps.Keys(other)) {
			if a, b := one[name], other[name]; a != b {
				apart += max(a-b, b-a)
				lines = append(lines, fmt.Sprintf("%s: %d when asked, %d in Envoy", name, a, b))
			}
		}
		if len(one) < 5 {
			return fmt.Errorf("only %d counts: %v", len(one), one)
		}
		if apart > 2*w.askedAnew() {
			return errors.New(strings.Join(lines, "\n"))
		}
		return nil
	})
}

// countedOf are the values of comparedMetrics, by name and labels.
func countedOf(t *testing.T, g *gateway) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, m := range comparedMetrics.FindAllStringSubmatch(g.metrics(), -1) {
		all[m[1]+m[2]] = number(t, m[3])
	}
	return all
}

// needNotAsk fails where the gateway that need not ask about all requests did: to ask
// about each would be to agree as well.
func (w *twins) needNotAsk() {
	w.t.Helper()
	all, asked := checks(w.t, w.one), checks(w.t, w.other)
	w.t.Logf("%d pairs; one has asked about %d, the other about %d; %v", len(w.asked), all, asked, w.answers)
	log := []byte(w.other.stdout.String())
	if w.form.limited {
		if denied := bytes.Count(log, []byte(`"flags":"RL"`)); denied < 4 { // those of limitCases
			w.t.Errorf("limits inside Envoy have denied %d requests", denied)
		}
		return
	}
	passed := bytes.Count(log, []byte(`"reason":"allowed"`))
	if saved := all - asked; saved < int64(passed)/20 {
		w.t.Errorf("of %d that pass, %d were not asked about", passed, saved)
	}
}

// checks is how many requests a gateway was asked about.
func checks(t *testing.T, g *gateway) int64 {
	t.Helper()
	return readMetric(t, g, "gatewright_check_seconds_count")
}
