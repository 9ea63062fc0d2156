package demo

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// maxDelay bounds ?delay=.
const maxDelay = time.Minute

// Backend is a service that answers with what it was asked. It answers
//
//	/healthz      200, or 503 after SetHealthy(false); not counted
//	all others    an Echo in JSON, with the header X-Backend
//
// and does as the query says: ?status=503 answers with that status, ?delay=200ms
// answers that much later. Status and delay may be given together.
type Backend struct {
	name     string
	requests atomic.Int64
	status   atomic.Int64 // 0 is as the query says
	sick     atomic.Bool
}

// Echo is what a Backend saw of a request.
type Echo struct {
	// Backend is the name of the one that answered.
	Backend string `json:"backend"`
	Method  string `json:"method"`
	// Path and Query are as they came, neither decoded nor cleaned.
	Path  string `json:"path"`
	Query string `json:"query"`
	Host  string `json:"host"`
	// Protocol is HTTP/1.1 or HTTP/2.0.
	Protocol string `json:"protocol"`
	// Headers are all that came, by canonical name, each value by itself.
	Headers http.Header `json:"headers"`
}

// NewBackend returns a healthy Backend.
func NewBackend(name string) *Backend { return &Backend{name: name} }

// Requests returns how many requests came, those to /healthz aside.
func (b *Backend) Requests() int64 { return b.requests.Load() }

// SetStatus makes every answer have that status, whatever the query says; 0
// ends it. /healthz goes on as it is.
func (b *Backend) SetStatus(status int) { b.status.Store(int64(status)) }

// SetHealthy decides what /healthz answers.
func (b *Backend) SetHealthy(healthy bool) { b.sick.Store(!healthy) }

// ServeHTTP answers as the type's comment says.
func (b *Backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Backend", b.name)
	if r.URL.Path == "/healthz" {
		b.serveHealth(w)
		return
	}
	b.requests.Add(1)
	status, delay, err := wishes(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if forced := int(b.status.Load()); forced != 0 {
		status = forced
	}
	if !pause(r, delay) {
		return
	}
	writeJSON(w, status, b.echo(r))
}

func (b *Backend) serveHealth(w http.ResponseWriter) {
	if b.sick.Load() {
		http.Error(w, "unhealthy", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (b *Backend) echo(r *http.Request) Echo {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	return Echo{
		Backend:  b.name,
		Method:   r.Method,
		Path:     path,
		Query:    query,
		Host:     r.Host,
		Protocol: r.Proto,
		Headers:  r.Header,
	}
}

// wishes returns the status and the delay that the query asks for.
func wishes(r *http.Request) (status int, delay time.Duration, err error) {
	query := r.URL.Query()
	status = http.StatusOK
	if text := query.Get("status"); text != "" {
		if status, err = strconv.Atoi(text); err != nil || status < 200 || status > 599 {
			return 0, 0, fmt.Errorf("status: %q, must be 200 to 599", text)
		}
	}
	if text := query.Get("delay"); text != "" {
		if delay, err = time.ParseDuration(text); err != nil || delay < 0 || delay > maxDelay {
			return 0, 0, fmt.Errorf("delay: %q, must be a duration up to %s, as 200ms", text, maxDelay)
		}
	}
	return status, delay, nil
}

// pause waits, and reports whether the client has waited too.
func pause(r *http.Request, delay time.Duration) bool {
	if delay == 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// writeJSON answers with value. An error in writing is the client's to notice.
func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}
