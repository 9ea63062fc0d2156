package console

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestWhoMayRead(t *testing.T) {
	const loopback, stranger = "127.0.0.1:5000", "192.0.2.7:5000"
	for _, c := range []struct {
		name, token, peer, host, authorization, path string
		want                                         int
	}{
		{"this machine", "", loopback, "127.0.0.1:9002", "", "/metrics", 200},
		{"this machine, IPv6", "", "[::1]:5000", "[::1]:9002", "", "/metrics", 200},
		{"this machine, by name", "", loopback, "localhost:9002", "", "/metrics", 200},
		{"this machine under a foreign name", "", loopback, "rebound.example:9002", "", "/metrics", 403},
		{"stranger, no token set", "", stranger, "gateway:9002", "", "/metrics", 403},
		{"stranger, no token set, an empty one sent", "", stranger, "gateway:9002", "Bearer ", "/metrics", 403},
		{"the status is guarded, too", "", stranger, "gateway:9002", "", "/api/v1/status", 403},
		{"the status for this machine", "", loopback, "127.0.0.1:9002", "", "/api/v1/status", 200},
		{"stranger without the token", "s3cret", stranger, "gateway:9002", "", "/metrics", 401},
		{"stranger with a wrong token", "s3cret", stranger, "gateway:9002", "Bearer s3cres", "/metrics", 401},
		{"stranger with the token as Basic", "s3cret", stranger, "gateway:9002", "Basic s3cret", "/metrics", 401},
		{"stranger with the token", "s3cret", stranger, "gateway:9002", "bearer s3cret", "/metrics", 200},
		{"probes are for all", "s3cret", stranger, "gateway:9002", "", "/healthz", 200},
		{"probes are for all", "", stranger, "gateway:9002", "", "/readyz", 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := NewHandler(Options{Token: c.token, Registry: prometheus.NewRegistry(), Ready: func() error { return nil }, Status: func() any { return nil }})
			r := httptest.NewRequest(http.MethodGet, c.path, nil)
			r.RemoteAddr, r.Host = c.peer, c.host
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%s: status %d, want %d", c.path, w.Code, c.want)
			}
		})
	}
}

func TestReadyzSaysWhatItWaitsFor(t *testing.T) {
	h := NewHandler(Options{Registry: prometheus.NewRegistry(), Ready: func() error { return errors.New("no Envoy yet") }})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if w.Code != http.StatusServiceUnavailable || w.Body.String() != "not ready: no Envoy yet\n" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}
