package test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const repeating = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"], connections: {retryBudget: {percent: 0, minConcurrent: 1}}}
routes:
  - {name: codes, match: {path: /codes}, auth: public, to: [{backend: app}], retry: {attempts: 2, codes: [409], backoff: {base: 1ms}}}
  - {name: later, match: {path: /later}, auth: public, to: [{backend: app}], retry: {attempts: 1, codes: [503], backoff: {retryAfter: 5s}}}
  - {name: budget, match: {path: /budget}, auth: public, to: [{backend: app}], retry: {attempts: 1, on: [5xx]}}
  - {name: silent, match: {path: /silent}, auth: public, to: [{backend: app}], retry: {attempts: 1, on: [gateway-error], perTryTimeout: 300ms}}
  - {name: hedged, match: {path: /hedged}, auth: public, to: [{backend: app}], retry: {attempts: 1, perTryTimeout: 100ms}, hedge: {onPerTryTimeout: true}}
`

// startRepeating is a gateway in front of a handler, which is told how many
// requests came before.
func startRepeating(t *testing.T, handle func(w http.ResponseWriter, r *http.Request, before int64)) (g *gateway, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(w, r, requests.Add(1)-1) }))
	t.Cleanup(s.Close)
	return start(t, setup{config: repeating, values: map[string]string{"app": strings.TrimPrefix(s.URL, "http://")}}), requests
}

// TestRetriedCodes: the statuses that are named are repeated, and no others.
func TestRetriedCodes(t *testing.T) {
	t.Parallel()
	g, requests := startRepeating(t, func(w http.ResponseWriter, r *http.Request, _ int64) {
		if r.URL.RawQuery == "503" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusConflict)
	})
	if r := get(t, g.url("public", "/codes?503")); r.Status != 503 || requests.Load() != 1 {
		t.Errorf("503 came back as %d after %d requests", r.Status, requests.Load())
	}
	if r := get(t, g.url("public", "/codes")); r.Status != 409 || requests.Load() != 4 {
		t.Errorf("409 came back as %d after %d requests", r.Status, requests.Load()-1)
	}
}

// TestRetryAfter: a backend that says when to come again is not asked sooner.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	var first time.Time
	var waited time.Duration
	g, _ := startRepeating(t, func(w http.ResponseWriter, _ *http.Request, before int64) {
		if before == 0 {
			first = time.Now()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		waited = time.Since(first)
	})
	get(t, g.url("public", "/later")).ok(t)
	if waited < 900*time.Millisecond { // Envoy's clock is not ours
		t.Errorf("asked again after %s, want a second", waited)
	}
}

// TestRetryBudget: of five requests that fail at once one is repeated, and while
// it is, the others are answered.
func TestRetryBudget(t *testing.T) {
	t.Parallel()
	const at = 5
	all, answered := make(chan struct{}), make(chan struct{})
	g, requests := startRepeating(t, func(w http.ResponseWriter, r *http.Request, before int64) {
		switch {
		case before == at-1:
			close(all)
		case before >= at:
			wait(r, answered)
			return
		}
		wait(r, all)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	var wg sync.WaitGroup
	var failed, passed atomic.Int64
	for range at {
		wg.Go(func() {
			r, err := try(http.MethodGet, g.url("public", "/budget"))
			switch {
			case err != nil:
				t.Error(err)
			case r.Status == http.StatusOK:
				passed.Add(1)
			case failed.Add(1) == at-1:
				close(answered)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 1 || failed.Load() != at-1 || requests.Load() != at+1 {
		t.Errorf("%d passed, %d failed, after %d requests", passed.Load(), failed.Load(), requests.Load())
	}
}

// TestTimeoutsBeyondTheBudget: a try that has taken too long, and is not repeated since
// the budget is used up, was a timeout.
func TestTimeoutsBeyondTheBudget(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	g, requests := startRepeating(t, func(_ http.ResponseWriter, r *http.Request, _ int64) { wait(r, never) })
	const at = 6
	var wg sync.WaitGroup
	for range at {
		wg.Go(func() {
			r, err := try(http.MethodGet, g.url("public", "/silent"))
			if err != nil {
				t.Error(err)
				return
			}
			r.denied(t, http.StatusGatewayTimeout, "backend-timeout")
		})
	}
	wg.Wait()
	if n := requests.Load(); n >= 2*at {
		t.Errorf("all of %d requests were repeated: the budget was not used up", at)
	}
}

// wait waits for a channel to be closed, or for the client to go.
func wait(r *http.Request, until <-chan struct{}) {
	select {
	case <-until:
	case <-r.Context().Done():
	}
}

// TestHedging: what is slow is sent again, without an end to the first attempt,
// and the answer that comes first is the client's.
func TestHedging(t *testing.T) {
	t.Parallel()
	var cut atomic.Bool
	first := make(chan struct{})
	g, requests := startRepeating(t, func(w http.ResponseWriter, r *http.Request, before int64) {
		if before == 0 {
			<-r.Context().Done()
			cut.Store(true)
			close(first)
			return
		}
		if cut.Load() {
			t.Error("the first attempt was cut before the second was answered")
		}
	})
	get(t, g.url("public", "/hedged")).ok(t)
	<-first
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}
