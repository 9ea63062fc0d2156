package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// client keeps connections, follows no redirect and gives up in the end.
var client = &http.Client{
	Timeout:       20 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
}

// reply is a response with its body read.
type reply struct {
	Status int
	Header http.Header
	Body   string
}

// header is one header to send. "Host" sets the host.
type header struct{ name, value string }

func bearer(token string) header { return header{"Authorization", "Bearer " + token} }

// get requests a URL.
func get(t testing.TB, url string, headers ...header) reply {
	t.Helper()
	return do(t, http.MethodGet, url, headers...)
}

func do(t testing.TB, method, url string, headers ...header) reply {
	t.Helper()
	r, err := try(method, url, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// try is do for goroutines, which must not end the test.
func try(method, url string, headers ...header) (reply, error) {
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		return reply{}, err
	}
	for _, h := range headers {
		if h.name == "Host" {
			req.Host = h.value
		} else {
			req.Header.Add(h.name, h.value)
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	return reply{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}, nil
}

// problem is the body of a denial (RFC 9457).
type problem struct {
	Type, Title, Reason, Detail string
	Status                      int
}

// denied checks that a reply is a denial with this status and reason, in the
// form that is promised, and returns it.
func (r reply) denied(t testing.TB, status int, reason string) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(r.Body), &p); err != nil {
		t.Fatalf("status %d, want %d with a problem document; body: %s", r.Status, status, r.Body)
	}
	if r.Status != status || p.Reason != reason {
		t.Errorf("got %d %q, want %d %q; body: %s", r.Status, p.Reason, status, reason, r.Body)
	}
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type of a denial: %q", got)
	}
	if p.Status != r.Status || p.Type != "urn:gatewright:problem:"+p.Reason || p.Title == "" || p.Detail == "" {
		t.Errorf("a denial whose parts do not agree, status %d: %s", r.Status, r.Body)
	}
	return p
}

// ok checks that a reply is a 200 and returns it.
func (r reply) ok(t testing.TB) reply {
	t.Helper()
	if r.Status != http.StatusOK {
		t.Fatalf("got %d, want 200; body: %s", r.Status, r.Body)
	}
	return r
}

// echo is what a demo backend says that it received.
type echo struct {
	Backend  string              `json:"backend"`
	Method   string              `json:"method"`
	Path     string              `json:"path"`
	Query    string              `json:"query"`
	Host     string              `json:"host"`
	Protocol string              `json:"protocol"`
	Headers  map[string][]string `json:"headers"`
}

// echo reads the body as a demo backend's.
func (r reply) echo(t testing.TB) echo {
	t.Helper()
	var e echo
	if err := json.Unmarshal([]byte(r.Body), &e); err != nil {
		t.Fatalf("status %d; not from a backend: %s", r.Status, r.Body)
	}
	return e
}

// header is the value of a header that the backend received: its only one, or
// all joined by "|".
func (e echo) header(name string) string {
	return strings.Join(e.Headers[http.CanonicalHeaderKey(name)], "|")
}

// errStatus says which status a reply had.
func errStatus(r reply) error { return fmt.Errorf("status %d: %s", r.Status, r.Body) }
