package console

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestProfilesAreForOperators: profiles need the token, also from this machine.
func TestProfilesAreForOperators(t *testing.T) {
	flight, err := StartFlightRecorder(time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer flight.Stop()
	if _, err := StartFlightRecorder(-time.Second); err == nil {
		t.Error("a negative time is taken")
	}
	for _, c := range []struct {
		token, authorization, path string
		flight                     *FlightRecorder
		want                       int
		begins                     string
	}{
		{"", "", "/debug/pprof/heap", nil, 403, "{"},
		{"s3cret", "", "/debug/pprof/heap", nil, 401, "{"},
		{"s3cret", "Bearer wrong", "/debug/pprof/profile?seconds=1", nil, 401, "{"},
		{"s3cret", "", "/debug/flight", flight, 401, "{"},
		{"s3cret", "Bearer s3cret", "/debug/pprof/heap", nil, 200, "\x1f\x8b"}, // a gzipped protocol buffer
		{"s3cret", "Bearer s3cret", "/debug/pprof/goroutine?debug=1", nil, 200, "goroutine profile:"},
		{"s3cret", "Bearer s3cret", "/debug/pprof/", nil, 200, "<html>"},
		{"s3cret", "Bearer s3cret", "/debug/flight", nil, 404, "{"},
		{"s3cret", "Bearer s3cret", "/debug/flight", flight, 200, "go 1."},
	} {
		h := NewHandler(Options{Token: c.token, Flight: c.flight, Registry: prometheus.NewRegistry(), Ready: func() error { return nil }, Status: func() any { return nil }})
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		r.RemoteAddr, r.Host = "127.0.0.1:5000", "127.0.0.1:9002"
		if c.authorization != "" {
			r.Header.Set("Authorization", c.authorization)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want || !bytes.HasPrefix(w.Body.Bytes(), []byte(c.begins)) {
			t.Errorf("%s with token %q and %q: %d %.40q, want %d and %q", c.path, c.token, c.authorization, w.Code, w.Body, c.want, c.begins)
		}
	}
}
