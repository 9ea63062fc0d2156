package console

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

type fakeLevels struct{ text string }

func (f *fakeLevels) Levels() string { return f.text }

func (f *fakeLevels) SetLevels(text string) error {
	if text == "loud" {
		return errors.New("want debug, info, warn or error")
	}
	f.text = text
	return nil
}

// TestLogLevels are shown to this machine, and changed with the token alone.
func TestLogLevels(t *testing.T) {
	levels := &fakeLevels{"info"}
	h := NewHandler(Options{
		Token: "s3cret", Registry: prometheus.NewRegistry(), Ready: func() error { return nil }, Status: func() any { return nil },
		Levels: levels, Log: slog.New(slog.DiscardHandler),
	})
	for _, c := range []struct {
		method, authorization, body string
		status                      int
		shown, after                string
	}{
		{"GET", "", "", 200, "info", "info"},
		{"PUT", "", "debug", 401, "admin-token-required", "info"},
		{"PUT", "Bearer s3cret", "loud", 400, "want debug", "info"},
		{"PUT", "Bearer s3cret", strings.Repeat("x", maxLevels+1), 400, "levels-unreadable", "info"},
		{"PUT", "Bearer s3cret", "info,xds=debug\n", 200, "info,xds=debug", "info,xds=debug"},
		{"POST", "Bearer s3cret", "debug", 405, "", "info,xds=debug"},
	} {
		r := httptest.NewRequest(c.method, "/api/v1/log-levels", strings.NewReader(c.body))
		r.RemoteAddr, r.Host = "127.0.0.1:5000", "127.0.0.1:9002"
		r.Header.Set("Authorization", c.authorization)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.shown) || levels.text != c.after {
			t.Errorf("%s %.20q: %d %s, then %q; want %d %q, then %q", c.method, c.body, w.Code, w.Body, levels.text, c.status, c.shown, c.after)
		}
	}
	without := NewHandler(Options{Registry: prometheus.NewRegistry(), Ready: func() error { return nil }})
	w := httptest.NewRecorder()
	if without.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/log-levels", nil)); w.Code != http.StatusNotFound {
		t.Errorf("without levels: %d", w.Code)
	}
}
