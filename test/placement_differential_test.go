package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	// generatedPolicies is how many policies one pair of gateways has.
	generatedPolicies = 60
	// pairsPerCheck is how many requests one check of rapid makes to both gateways. By
	// default rapid makes a hundred checks.
	pairsPerCheck = 50
)

// twins are two gateways with the same config, each with an Envoy of its own: one of
// them runs policies inside Envoy, where it can, and the other asks about each request.
type twins struct {
	t      *testing.T
	routes []object
	key    apiKey
	// one is the gateway that asks, other the one that need not.
	one, other *gateway
	wires      [2]wire
	// asked are the requests so far, by their numbers, which stand in User-Agent.
	asked []wireRequest
	// answers counts them, by their reasons and statuses.
	answers map[string]int
}

// TestPlacementsAgree: wherever a policy runs, a request gets the same answer, for the
// same reason, and a backend is told the same.
//
// PLACEMENT_ROUNDS says how many pairs of gateways, each with policies of its own, are
// asked in turn (`make placement`); PLACEMENT_SEED is the seed of the first policies.
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
			w := startTwins(t, generatedRoutes(generatedPolicies).Example(seed+round))
			w.waitPlaced()
			w.askCases()
			t.Run("generated", func(t *testing.T) {
				requests := requestsTo(w.routes[len(w.routes)-generatedPolicies:], w.key)
				rapid.Check(t, func(t *rapid.T) {
					for range pairsPerCheck {
						w.compare(t, requests.Draw(t, "request"))
					}
				})
			})
			w.compareLogs()
			w.needNotAsk()
		})
	}
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
func startTwins(t *testing.T, generated []object) *twins {
	t.Helper()
	folder, app := t.TempDir(), backend(t, "app")
	keys := filepath.Join(folder, "jwks.json")
	if err := os.WriteFile(keys, madeKeys().set(t), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &twins{t: t, answers: map[string]int{}, routes: append(placementCaseRoutes(), generated...)}
	config := providers + inYAML(t, w.routes)
	placed := func(placement string) *gateway {
		return start(t, setup{
			config: config,
			values: map[string]string{"app": app.Addr(), "keys": keys, "placement": placement},
			env:    []string{"GATEWRIGHT_DATABASE_URL=sqlite:" + filepath.Join(folder, "keys.db")},
		})
	}
	w.one, w.other = placed("service"), placed("auto")
	w.key = w.one.createKey("--tenant", "acme", "--owner", "carol")
	w.wires = [2]wire{{addr: w.one.listeners["public"]}, {addr: w.other.listeners["public"]}}
	t.Cleanup(func() { w.wires[0].close(); w.wires[1].close() })
	return w
}

// waitPlaced waits until the gateway that need not ask about a good token does not: its
// Envoy gets keys and policies beside the listener, a little later.
func (w *twins) waitPlaced() {
	w.t.Helper()
	r := placementCases()[0].request(0)
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
		time.Sleep(100 * time.Millisecond)
		answers, errs = w.askBoth(r)
	}
	if (errs[0] == nil) != (errs[1] == nil) {
		t.Fatalf("one answers, the other does not: %v, %v\n%s\n%s", errs[0], errs[1], r, w.policyOf(r))
	}
	if answers[0] != answers[1] {
		t.Fatalf("asked, it is\n%d\n%s\n%s\nin Envoy, it is\n%d\n%s\n%s\nof\n%s\n%s\n%s", answers[0].status, answers[0].headers, answers[0].body,
			answers[1].status, answers[1].headers, answers[1].body, r, explained(r), w.policyOf(r))
	}
	w.answers[fmt.Sprint(answers[0].status, " ", answers[0].reason())]++
	return answers[0]
}

func (w *twins) askBoth(r wireRequest) (answers [2]wireAnswer, errs [2]error) {
	var both sync.WaitGroup
	for i := range w.wires {
		both.Go(func() { answers[i], errs[i] = w.wires[i].ask(r) })
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
// next, whoever judges; and the version of the config, which says where that is.
var passingFields = []string{"config", "time", "duration_ms", "upstream_ms", "trace_id", "request_id", "bytes_out"}

// compareLogs compares what the access logs say of each request.
func (w *twins) compareLogs() {
	w.t.Helper()
	w.compare(w.t, wireRequest{"GET", "/nowhere", []header{{"Host", "last"}}})
	one, other := w.logged(w.one), w.logged(w.other)
	differ := 0
	for i, r := range w.asked {
		agent := fmt.Sprint("pair/", i)
		a, b := one[agent], other[agent]
		if a == b {
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
	last := fmt.Sprintf(`"pair/%d"`, len(w.asked)-1)
	eventually(w.t, "the last request is logged", func() error {
		if !strings.Contains(g.stdout.String(), last) {
			return fmt.Errorf("%s is not there yet", last)
		}
		return nil
	})
	lines := map[string]string{}
	for _, line := range g.accessLog() {
		agent, _ := line["user_agent"].(string)
		for _, name := range passingFields {
			delete(line, name)
		}
		var text strings.Builder
		for _, name := range slices.Sorted(maps.Keys(line)) {
			fmt.Fprintf(&text, "%s: %v\n", name, line[name])
		}
		lines[agent] = text.String()
	}
	return lines
}

// needNotAsk fails where the gateway that need not ask about all requests did: to ask
// about each would be to agree as well.
func (w *twins) needNotAsk() {
	w.t.Helper()
	all, asked := checks(w.t, w.one), checks(w.t, w.other)
	w.t.Logf("%d pairs; one has asked about %d, the other about %d; %v", len(w.asked), all, asked, w.answers)
	passed := bytes.Count([]byte(w.other.stdout.String()), []byte(`"reason":"allowed"`))
	if saved := all - asked; saved < int64(passed)/20 {
		w.t.Errorf("of %d that pass, %d were not asked about", passed, saved)
	}
}

// checks is how many requests a gateway was asked about.
func checks(t *testing.T, g *gateway) int64 {
	t.Helper()
	return readMetric(t, g, "gatewright_check_seconds_count")
}
