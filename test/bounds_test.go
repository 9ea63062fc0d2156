package test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

const bounded = `
listeners:
  - name: public
    address: "{{listen "public"}}"
    bounds: {maxHeaderBytes: 2048, maxHeaders: 20, maxBodyBytes: 1000, headersTimeout: 300ms, requestTimeout: 1s, idleTimeout: 700ms, maxStreams: 3}
  - {name: still, address: "{{listen "still"}}", bounds: {streamIdleTimeout: 500ms}}
  - {name: few, address: "{{listen "few"}}", bounds: {maxConnections: 2}}
  - {name: short, address: "{{listen "short"}}", bounds: {maxRequestsPerConnection: 3}}
  - {name: brief, address: "{{listen "brief"}}", bounds: {maxConnectionDuration: 1s}}
  - {name: plain, address: "{{listen "plain"}}"}
  - {name: wide, address: "{{listen "wide"}}", bounds: {maxHeaderBytes: 262144, maxHeaders: 1000}}
backends:
  app: {endpoints: ["{{.app}}"]}
limits:
  plenty: {key: [clientIP], tokenBucket: {capacity: 1000000, refill: 1/s}}
routes:
  - {name: all, match: {path: /**}, auth: public, to: [{backend: app}]}
  - {name: judged, match: {path: /judged}, auth: public, limits: [plenty], to: [{backend: app}]}
  - {name: own, match: {path: /own}, auth: public, respond: {status: 431, body: own}}
`

// bytesTo sends bytes on a connection of their own and returns the first answer. Where
// there is more, it is sent in pieces, 100 ms apart, until the answer comes.
func (g *gateway) bytesTo(listener, first string, more ...string) reply {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.listeners[listener])
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		g.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, first); err != nil {
		g.t.Fatal(err)
	}
	answered := make(chan struct{})
	defer func() { <-answered }()
	go func() {
		defer close(answered)
		for _, piece := range more {
			time.Sleep(100 * time.Millisecond)
			if _, err := io.WriteString(conn, piece); err != nil {
				return // it has been answered
			}
		}
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		g.t.Fatalf("%.60q: %v", first, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatalf("%.60q: reading the answer: %v", first, err)
	}
	conn.Close()
	return reply{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
}

// headerLines are so many headers of a request.
func headerLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "X-%d: a\r\n", i)
	}
	return b.String()
}

// TestBoundsOfRequests: what goes beyond the bounds of a listener is answered with a
// problem document whose reason stays the same, is in the log, and has not reached the
// backend; what is just inside has.
func TestBoundsOfRequests(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := start(t, setup{config: bounded, values: map[string]string{"app": app.Addr()}})
	const begin = " HTTP/1.1\r\nHost: a\r\n"
	trickle := strings.Split(strings.Repeat("a", 40), "")
	for name, c := range map[string]struct {
		listener, first string
		more            []string
		status          int
		reason, logged  string
	}{
		"few headers":                 {"public", "GET /x" + begin + headerLines(15) + "\r\n", nil, 200, "", ""},
		"many headers":                {"public", "GET /x" + begin + headerLines(21) + "\r\n", nil, 431, "headers-too-large", "http1.too_many_headers"},
		"small headers":               {"public", "GET /x" + begin + "X: " + strings.Repeat("a", 1900) + "\r\n\r\n", nil, 200, "", ""},
		"a large header":              {"public", "GET /x" + begin + "X: " + strings.Repeat("a", 2100) + "\r\n\r\n", nil, 431, "headers-too-large", "http1.headers_too_large"},
		"a long path":                 {"public", "GET /" + strings.Repeat("x", 2100) + begin + "\r\n", nil, 431, "headers-too-large", "http1.headers_too_large"},
		"cookies":                     {"public", "GET /x" + begin + strings.Repeat("Cookie: "+strings.Repeat("a=b; ", 30)+"\r\n", 15) + "\r\n", nil, 431, "headers-too-large", "http1.headers_too_large"},
		"slow headers":                {"public", "GET /x" + begin, trickle, 408, "request-timeout", "request_header_timeout"},
		"a slow body":                 {"public", "POST /x" + begin + "Content-Length: 100\r\n\r\n", trickle, 408, "request-timeout", "request_overall_timeout"},
		"a slow body, judged":         {"public", "POST /judged" + begin + "Content-Length: 100\r\n\r\n", trickle, 408, "request-timeout", "request_overall_timeout"},
		"a body that stands still":    {"still", "POST /x" + begin + "Content-Length: 100\r\n\r\n", nil, 408, "request-timeout", "stream_idle_timeout"},
		"a body just so long":         {"public", "POST /x" + begin + "Content-Length: 1000\r\n\r\n" + strings.Repeat("a", 1000), nil, 200, "", ""},
		"a body that says its length": {"public", "POST /x" + begin + "Content-Length: 1001\r\n\r\n", nil, 413, "body-too-large", "request_payload_too_large"},
		"a body in chunks":            {"public", "POST /x" + begin + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("64\r\n"+strings.Repeat("a", 100)+"\r\n", 11), nil, 413, "body-too-large", "request_payload_too_large"},
		"a body in chunks, judged":    {"public", "POST /judged" + begin + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("64\r\n"+strings.Repeat("a", 100)+"\r\n", 11), nil, 413, "body-too-large", "request_payload_too_large"},
		"an answer of a route's own":  {"public", "GET /own" + begin + "\r\n", nil, 431, "own", "direct_response"},
		"no HTTP":                     {"public", "GET /\x01" + begin + "\r\n", nil, 400, "request-malformed", "http1.invalid_characters"},
		"no host":                     {"public", "GET /x HTTP/1.1\r\n\r\n", nil, 400, "request-malformed", "missing_host_header"},
		"HTTP/1.0":                    {"public", "GET /x HTTP/1.0\r\nHost: a\r\n\r\n", nil, 426, "version-unsupported", "low_version"},
		"a coding":                    {"public", "POST /x" + begin + "Transfer-Encoding: gzip, chunked\r\n\r\n", nil, 501, "coding-unsupported", "http1.invalid_transfer_encoding"},
		"defaults":                    {"plain", "GET /x" + begin + headerLines(80) + "X: " + strings.Repeat("a", 50<<10) + "\r\n\r\n", nil, 200, "", ""},
		"beyond the defaults":         {"plain", "GET /x" + begin + headerLines(101) + "\r\n", nil, 431, "-", "http1.too_many_headers"},
		"larger than the defaults":    {"plain", "GET /x" + begin + "X: " + strings.Repeat("a", 61<<10) + "\r\n\r\n", nil, 431, "-", "http1.headers_too_large"},
		"wider than the defaults":     {"wide", "GET /judged" + begin + headerLines(900) + "X: " + strings.Repeat("a", 200<<10) + "\r\n\r\n", nil, 200, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := g.bytesTo(c.listener, c.first, c.more...)
			switch c.reason {
			case "":
				r.ok(t)
				return
			case "own":
				if r.Status != c.status || r.Body != "own" {
					t.Errorf("%d %s", r.Status, r.Body)
				}
			case "-": // a listener that says no bounds leaves it in Envoy's words
				if r.Status != c.status {
					t.Errorf("status %d, want %d", r.Status, c.status)
				}
			default:
				r.denied(t, c.status, c.reason)
			}
			g.loggedReason(c.status, c.logged)
		})
	}
	t.Cleanup(func() {
		if strings.Contains(g.stderr.String(), "exceeds maximum") {
			t.Error("Envoy tells of each body that is too long, in its log")
		}
	})
}

// loggedReason waits for a line of the log with a status and Envoy's word on it: of a
// request that is not taken for one, the path is not known.
func (g *gateway) loggedReason(status int, reason string) {
	g.t.Helper()
	eventually(g.t, fmt.Sprintf("%d %s is logged", status, reason), func() error {
		for _, line := range g.accessLog() {
			if fmt.Sprint(line["status"]) == fmt.Sprint(status) && line["reason"] == reason {
				return nil
			}
		}
		return errors.New("it is not")
	})
}

// TestBoundsOfStreams: over HTTP/2 what goes beyond the bounds costs its stream, and
// the connection is told where it is to end.
func TestBoundsOfStreams(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := start(t, setup{config: bounded, values: map[string]string{"app": app.Addr()}})

	f := g.frames("public")
	settings := f.until(t, func(frame http2.Frame) bool { _, ok := frame.(*http2.SettingsFrame); return ok }).(*http2.SettingsFrame)
	if most, _ := settings.Value(http2.SettingMaxConcurrentStreams); most != 3 {
		t.Errorf("clients are told of %d streams, want 3", most)
	}
	for _, c := range []struct {
		what string
		more []field
		want string
	}{
		{"a request", nil, "200"},
		{"a large header", []field{{"x", strings.Repeat("a", 2100)}}, "reset: INTERNAL_ERROR"},
		{"a request after it", nil, "200"},
		{"many headers", manyFields(25), "reset: INTERNAL_ERROR"},
		{"a length that is too long", []field{{"content-length", "1001"}}, "413"},
		{"a request after all", nil, "200"},
	} {
		stream := f.Next()
		if err := f.Ask(stream, "POST", "/x", c.want != "413", c.more...); err != nil {
			t.Fatal(err)
		}
		if got := f.status(t, stream); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	g.loggedReason(0, "http2.too_many_headers")
	g.loggedReason(413, "request_payload_too_large")
	t.Run("more streams than may be", func(t *testing.T) {
		f := g.frames("public")
		for range 4 {
			if err := f.Ask(f.Next(), "GET", "/x?delay=500ms", true); err != nil {
				t.Fatal(err)
			}
		}
		refused := f.until(t, func(frame http2.Frame) bool {
			switch frame.(type) {
			case *http2.RSTStreamFrame, *http2.GoAwayFrame:
				return true
			}
			return false
		})
		if reset, ok := refused.(*http2.RSTStreamFrame); !ok || reset.ErrCode != http2.ErrCodeRefusedStream || reset.StreamID != 7 {
			t.Errorf("the fourth stream: %v", refused)
		}
	})
	t.Run("a body that says no length", func(t *testing.T) {
		f := g.frames("public")
		if err := f.Ask(1, "POST", "/x", false); err != nil {
			t.Fatal(err)
		}
		for range 11 {
			if err := f.WriteData(1, false, make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
		}
		if got := f.status(t, 1); got != "413" {
			t.Errorf("got %s, want 413", got)
		}
	})
}

func manyFields(n int) []field {
	var out []field
	for i := range n {
		out = append(out, field{fmt.Sprintf("x-%d", i), "a"})
	}
	return out
}

// TestBoundsOfConnections: connections end where the listener says so, in a way that
// loses no request.
func TestBoundsOfConnections(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := start(t, setup{config: bounded, values: map[string]string{"app": app.Addr()}})

	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		conn := g.connect("public")
		began := time.Now()
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("an idle connection ended with %v, want its end", err)
		}
		if took := time.Since(began); took < 500*time.Millisecond {
			t.Errorf("it ended after %v, and may be idle for 700ms", took)
		}
		f := g.frames("public")
		f.goAway(t)
	})
	t.Run("too many", func(t *testing.T) {
		t.Parallel()
		first, second := g.connect("few"), g.connect("few")
		for _, conn := range []net.Conn{first, second} {
			if err := roundTrip(conn, "/x"); err != nil {
				t.Fatal(err)
			}
		}
		third := g.connect("few")
		if err := roundTrip(third, "/x"); err == nil {
			t.Error("a third connection is served")
		}
		if err := roundTrip(first, "/x"); err != nil {
			t.Errorf("the first one is not served any more: %v", err)
		}
		first.Close()
		eventually(t, "a connection may come when another has gone", func() error { return roundTrip(g.connect("few"), "/x") })
	})
	t.Run("requests", func(t *testing.T) {
		t.Parallel()
		conn := g.connect("short")
		r := bufio.NewReader(conn)
		for n := 1; n <= 3; n++ {
			if _, err := io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
			if resp.Close != (n == 3) {
				t.Errorf("answer %d: closes %v", n, resp.Close)
			}
		}
		f := g.frames("short")
		for range 3 {
			stream := f.Next()
			if err := f.Ask(stream, "GET", "/x", true); err != nil {
				t.Fatal(err)
			}
			if stream < 5 {
				if got := f.status(t, stream); got != "200" {
					t.Errorf("stream %d: %s", stream, got)
				}
			}
		}
		if away := f.goAway(t); away.ErrCode != http2.ErrCodeNo {
			t.Errorf("GOAWAY: %v", away.ErrCode)
		}
		if got := f.status(t, 5); got != "200" {
			t.Errorf("the last request: %s", got)
		}
	})
	t.Run("time", func(t *testing.T) {
		t.Parallel()
		f := g.frames("brief")
		if err := f.Ask(1, "GET", "/x?delay=2s", true); err != nil {
			t.Fatal(err)
		}
		if away := f.goAway(t); away.ErrCode != http2.ErrCodeNo {
			t.Errorf("GOAWAY: %v", away.ErrCode)
		}
		if got := f.status(t, 1); got != "200" {
			t.Errorf("the request under way: %s", got)
		}
		conn := g.connect("brief")
		time.Sleep(1200 * time.Millisecond) // its time is over
		if err := roundTrip(conn, "/x"); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errCloses) {
			t.Errorf("after its time: %v", err)
		}
	})
}

// connect opens a connection for as long as the test.
func (g *gateway) connect(listener string) net.Conn {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.listeners[listener])
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		g.t.Fatal(err)
	}
	return conn
}

// errCloses is an answer after which the connection is to end.
var errCloses = errors.New("the connection is to be closed")

// roundTrip asks for a path on a connection, which is to stay.
func roundTrip(conn net.Conn, path string) error {
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("no answer")
	case err != nil:
		return io.EOF
	}
	var said json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body) // what is left over of it
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d", resp.StatusCode)
	case resp.Close:
		return errCloses
	}
	return nil
}
