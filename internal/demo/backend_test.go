package demo

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func echoed(t *testing.T, body string) Echo {
	t.Helper()
	var echo Echo
	if err := json.Unmarshal([]byte(body), &echo); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return echo
}

func TestBackendTellsWhatItWasAsked(t *testing.T) {
	s := start(t, NewBackend("users"))
	response, body := get(t, s.URL()+"/a%2fb//c;d?x=%20&y=1&x=2", "x-user-id", "alice", "X-Twice", "1", "X-Twice", "2")
	echo := echoed(t, body)
	if response.StatusCode != http.StatusOK || response.Header.Get("X-Backend") != "users" {
		t.Errorf("%s, %v", response.Status, response.Header)
	}
	got := [...]string{echo.Backend, echo.Method, echo.Path, echo.Query, echo.Host, echo.Protocol}
	want := [...]string{"users", "GET", "/a%2fb//c;d", "x=%20&y=1&x=2", s.Addr(), "HTTP/1.1"}
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !slices.Equal(echo.Headers["X-User-Id"], []string{"alice"}) || !slices.Equal(echo.Headers["X-Twice"], []string{"1", "2"}) {
		t.Errorf("headers %v", echo.Headers)
	}
}

func TestBackendSpeaksHTTP2WithoutTLS(t *testing.T) {
	s := start(t, NewBackend("grpc"))
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get(s.URL() + "/a")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var echo Echo
	if err := json.NewDecoder(response.Body).Decode(&echo); err != nil || echo.Protocol != "HTTP/2.0" || echo.Path != "/a" {
		t.Errorf("%+v, %v", echo, err)
	}
}

func TestBackendDoesAsTheQuerySays(t *testing.T) {
	b := NewBackend("users")
	url := start(t, b).URL()
	for query, want := range map[string]int{
		"":                       200,
		"?status=503":            503,
		"?status=200":            200,
		"?delay=1ms":             200,
		"?delay=1ms&status=418":  418,
		"?status=199":            400,
		"?status=600":            400,
		"?status=teapot":         400,
		"?delay=-1s":             400,
		"?delay=2m":              400,
		"?delay=soon":            400,
		"?somethingelse=allowed": 200,
	} {
		if response, _ := get(t, url+"/x"+query); response.StatusCode != want {
			t.Errorf("%s: %s, want %d", query, response.Status, want)
		}
	}
	began := time.Now()
	get(t, url+"/x?delay=50ms")
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("a delay of 50 ms took %s", took)
	}
}

func TestDelayEndsWithTheClient(t *testing.T) {
	arrived, left := make(chan struct{}), make(chan struct{})
	b := NewBackend("slow")
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		b.ServeHTTP(w, r)
		close(left)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/x?delay=1m", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-arrived
		cancel()
	}()
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		response.Body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("Do = %v, want %v", err, context.Canceled)
	}
	select {
	case <-left:
	case <-time.After(20 * time.Second):
		t.Error("the backend waits on after its client has gone")
	}
}

func TestBackendCanFail(t *testing.T) {
	b := NewBackend("users")
	url := start(t, b).URL()
	want := func(path string, status int) {
		t.Helper()
		if response, _ := get(t, url+path); response.StatusCode != status {
			t.Errorf("%s: %s, want %d", path, response.Status, status)
		}
	}
	want("/healthz", 200)
	b.SetStatus(502)
	want("/x", 502)
	want("/x?status=200", 502)
	want("/healthz", 200)
	b.SetStatus(0)
	b.SetHealthy(false)
	want("/healthz", 503)
	want("/x", 200)
	b.SetHealthy(true)
	want("/healthz", 200)
	if requests := b.Requests(); requests != 3 {
		t.Errorf("%d requests, want 3: those to /healthz do not count", requests)
	}
}

func TestStartSaysThatThePortIsTaken(t *testing.T) {
	s := start(t, NewBackend("first"))
	if _, err := Start(s.Addr(), NewBackend("second")); err == nil || !strings.Contains(err.Error(), "listening on "+s.Addr()) {
		t.Errorf("Start = %v, want it to name the address", err)
	}
}

func TestCloseEndsTheListener(t *testing.T) {
	s, err := Start("127.0.0.1:0", NewBackend("users"))
	if err != nil {
		t.Fatal(err)
	}
	get(t, s.URL())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Not by dialling: another process may have the port by now.
	if _, err := s.listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept = %v, want %v", err, net.ErrClosed)
	}
}
