package breakerpolicy

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// hookServer notes what it is told, and answers as it is told.
type hookServer struct {
	*httptest.Server
	mu      sync.Mutex // guards all below
	answers []int      // one a request, then 204
	got     []Event
	auth    []string
}

func newHookServer(t *testing.T, answers ...int) *hookServer {
	h := &hookServer{answers: answers}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		status := http.StatusNoContent
		if len(h.answers) > 0 {
			status, h.answers = h.answers[0], h.answers[1:]
		}
		var e Event
		if err := json.Unmarshal(body, &e); err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s of %s: %s", r.Method, r.Header.Get("Content-Type"), body)
		}
		h.auth = append(h.auth, r.Header.Get("Authorization"))
		if status < 300 {
			h.got = append(h.got, e)
		}
		if status == http.StatusFound {
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hookServer) told() (events []Event, asked int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Event(nil), h.got...), len(h.auth)
}

// hooksFor are hooks that try again at once.
func hooksFor(t *testing.T) (*hooks, *testenv.Output) {
	log := &testenv.Output{}
	h := newHooks(slog.New(slog.NewTextHandler(log, nil)), newStoreMetrics().webhooks)
	h.pause = time.Millisecond
	t.Cleanup(h.close)
	return h, log
}

func counted(h *hooks, result string) int {
	return int(testutil.ToFloat64(h.counts.WithLabelValues(result)))
}

// A breaker that opens tells its webhook once, though three instances share it, with
// its numbers.
func TestWebhookIsTold(t *testing.T) {
	t.Setenv("HOOK_AUTHORIZATION", "Bearer s3cret")
	hook := newHookServer(t)
	c := short()
	c.Webhook = &config.Webhook{URL: hook.URL + "/T0KEN", AuthorizationEnv: "HOOK_AUTHORIZATION"}
	f := newFleet(t, testenv.StartRedis(t).URL(), patient, c)
	f.trip()
	probe, at := f.probe()
	at.Observe(probeEnded(probe, 200))
	f.untilAll(StateClosed)
	testenv.Eventually(t, "the webhook has been told of three changes", func() error {
		if events, _ := hook.told(); len(events) != 3 {
			return fmt.Errorf("%+v", events)
		}
		return nil
	})
	events, _ := hook.told()
	for _, e := range events { // in any order: their numbers say which is the last
		want := map[int64]Event{
			1: {From: StateClosed, To: StateOpen, Why: "too-many-failures", Requests: 21, Failed: 21, OpenForSeconds: 0.4, Openings: 1},
			2: {From: StateOpen, To: StateHalfOpen, Why: "open-time-over", Openings: 1},
			3: {From: StateHalfOpen, To: StateClosed, Why: "probes-succeeded"},
		}[e.Generation]
		want.Breaker, want.Backend, want.Mode, want.Shared, want.Generation, want.At = "users", "users", "enforce", true, e.Generation, e.At
		if e.Generation == 1 { // the last instance may not have been needed
			want.Requests, want.Failed = e.Requests, e.Requests
		}
		equal(t, "event", e, want)
	}
	for _, auth := range hook.auth {
		equal(t, "Authorization", auth, "Bearer s3cret")
	}
	for i := range f.log {
		if text := f.log[i].String(); strings.Contains(text, "s3cret") || strings.Contains(text, "T0KEN") {
			t.Errorf("a secret is in the log: %s", text)
		}
	}
}

// What fails is tried again, a few times; what is refused is not, and an answer that
// leads elsewhere is not followed. The log says no secret.
func TestWebhookTries(t *testing.T) {
	for name, c := range map[string]struct {
		answers []int
		asked   int
		result  string
		says    string
	}{
		"at last":       {[]int{500, 429, 503}, 4, "delivered", ""},
		"never":         {[]int{500, 502, 503, 504, 500}, 4, "failed", "it answers 504 Gateway Timeout"},
		"refused":       {[]int{401}, 1, "failed", "it answers 401 Unauthorized"},
		"led elsewhere": {[]int{302}, 1, "failed", "it answers 302 Found"},
	} {
		t.Run(name, func(t *testing.T) {
			hook := newHookServer(t, c.answers...)
			h, log := hooksFor(t)
			h.getenv = func(string) string { return "Bearer s3cret" }
			h.send(&config.Webhook{URL: hook.URL + "/T0KEN?k=T0KEN", AuthorizationEnv: "X"}, Event{Breaker: "users", Generation: 7})
			testenv.Eventually(t, "it is over", func() error {
				if counted(h, c.result) != 1 {
					return fmt.Errorf("not yet")
				}
				return nil
			})
			_, asked := hook.told()
			equal(t, "tries", asked, c.asked)
			testenv.Eventually(t, "the log says why", func() error {
				if !strings.Contains(log.String(), c.says) {
					return fmt.Errorf("it says %s", log)
				}
				return nil
			})
			if text := log.String(); strings.Contains(text, "s3cret") || strings.Contains(text, "T0KEN") {
				t.Errorf("a secret is in the log: %s", text)
			}
		})
	}
}

// One that is not there is a failure that says nothing of its path.
func TestWebhookIsGone(t *testing.T) {
	h, log := hooksFor(t)
	h.send(&config.Webhook{URL: "http://127.0.0.1:1/T0KEN"}, Event{Breaker: "users"})
	testenv.Eventually(t, "it is given up", func() error {
		if !strings.Contains(log.String(), "webhook=127.0.0.1:1") {
			return fmt.Errorf("the log says %s", log)
		}
		return nil
	})
	if strings.Contains(log.String(), "T0KEN") {
		t.Errorf("the path is in the log: %s", log)
	}
}

// A webhook that hangs blocks nobody: events wait, as many as there is room for, and
// the others are dropped and counted; and it does not keep the gateway from stopping.
func TestWebhookHangs(t *testing.T) {
	var asked atomic.Int64
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	h, _ := hooksFor(t)
	hook := &config.Webhook{URL: server.URL}
	for range hookWorkers {
		h.send(hook, Event{})
	}
	testenv.Eventually(t, "all workers hang", func() error {
		if n := asked.Load(); n != hookWorkers {
			return fmt.Errorf("%d do", n)
		}
		return nil
	})
	for range mostEvents + 5 {
		h.send(hook, Event{}) // the test would hang here
	}
	equal(t, "dropped", counted(h, "dropped"), 5)
	h.close()
	equal(t, "dropped in the end", counted(h, "dropped"), 5+mostEvents+hookWorkers)
}
