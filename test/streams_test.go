package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

const streaming = `
listeners:
  - {name: public, address: "{{listen "public"}}", trailers: true}
  - {name: plain, address: "{{listen "plain"}}"}
  - {name: asks, address: "{{listen "asks"}}", forwardExpect: true}
backends:
  app: {endpoints: ["{{.app}}"], trailers: true}
  old: {endpoints: ["{{.app}}"]}
  new: {endpoints: ["{{.app}}"], protocol: http2}
  calls: {endpoints: ["{{.calls}}"], protocol: grpc}
auth: {apiKey: {keys: {}}}
routes:
  - {name: stream, match: {path: /stream/**}, auth: public, to: [{backend: app}], stream: true, timeout: 500ms, idleTimeout: 2s}
  - {name: keyed, match: {path: /stream/keyed/**}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: app}], stream: true, timeout: 500ms, idleTimeout: 2s}
  - {name: h2, match: {path: /h2/**}, auth: public, to: [{backend: new}], stream: true, timeout: 500ms}
  - {name: whole, match: {path: /whole/**}, auth: public, to: [{backend: app}], timeout: 500ms}
  - {name: again, match: {path: /again/**}, auth: public, to: [{backend: app}], stream: true, timeout: 500ms, retry: {attempts: 1, on: [gateway-error], perTryTimeout: 200ms}}
  - {name: silent, match: {path: /silent/**}, auth: public, to: [{backend: app}], stream: true, idleTimeout: 500ms}
  - {name: old, match: {path: /old/**}, auth: public, to: [{backend: old}]}
  - {name: closed, match: {path: /closed/**}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: app}]}
  - {name: health, match: {grpc: {service: grpc.health.v1.Health}}, auth: public, to: [{backend: calls}]}
`

// streamer is a backend that speaks HTTP/1.1 and HTTP/2, and does by the last part of
// the path what long answers and careful clients need.
func streamer(t testing.TB) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/{route}/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := range 12 {
			fmt.Fprintf(w, "data: %d\n\n", n)
			_ = http.NewResponseController(w).Flush() // the next write tells
			if first, ok := firstEvents.Load(r.URL.RawQuery); ok && n == 0 {
				wait(r, first.(chan struct{}))
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
	})
	mux.HandleFunc("/{route}/keyed/events", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "data: 0\n\n") })
	mux.HandleFunc("/{route}/late", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/{route}/slow", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or Go's server would cut the answer short
		time.Sleep(800 * time.Millisecond)
		fmt.Fprint(w, "slow")
	})
	mux.HandleFunc("/{route}/stall", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "data: 0\n\n")
		_ = http.NewResponseController(w).Flush() // the next write tells
		<-r.Context().Done()
	})
	mux.HandleFunc("/{route}/early", func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // only HTTP/1.1 has to be told
		w.WriteHeader(http.StatusConflict)
		fmt.Fprint(w, "early")
	})
	mux.HandleFunc("/{route}/echo", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex() // only HTTP/1.1 has to be told
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush() // the next write tells
		buffer := make([]byte, 1024)
		for {
			n, err := r.Body.Read(buffer)
			_, _ = w.Write(buffer[:n])                // the client may have gone
			_ = http.NewResponseController(w).Flush() // likewise
			if err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/{route}/head", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		if r.Method != http.MethodHead {
			fmt.Fprint(w, strings.Repeat("a", 1000))
		}
	})
	mux.HandleFunc("/{route}/expect", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Expect", r.Header.Get("Expect"))
		body, _ := io.ReadAll(r.Body) // what came is told
		fmt.Fprintf(w, "%d", len(body))
	})
	mux.HandleFunc("/{route}/trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.Copy(io.Discard, r.Body) // until the trailers
		fmt.Fprintf(w, "%v", r.Trailer)
		_ = http.NewResponseController(w).Flush() // an answer with a length has none
		w.Header().Set("X-Sum", "17")
	})
	s := httptest.NewUnstartedServer(mux)
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// firstEvents are channels by a query: whoever asks for events with it gets the second
// one when the channel is closed.
var firstEvents sync.Map

// withStreams is a gateway before such a backend.
func withStreams(t *testing.T) *gateway {
	t.Helper()
	return start(t, setup{config: streaming, values: map[string]string{"app": streamer(t), "calls": healthService(t, healthv1.HealthCheckResponse_SERVING)}})
}

// bothClients speak HTTP/1.1, and HTTP/2 without TLS.
func bothClients(t testing.TB) map[string]*http.Client {
	t.Helper()
	var h2 http.Protocols
	h2.SetUnencryptedHTTP2(true)
	all := map[string]*http.Client{"http1": {Transport: &http.Transport{}}, "http2": {Transport: &http.Transport{Protocols: &h2}}}
	for _, c := range all {
		c.Timeout = 20 * time.Second
		t.Cleanup(c.CloseIdleConnections)
	}
	return all
}

// TestLongStreams: an answer that goes on goes on, however long the route lets a
// request take until it begins; each part comes when it is sent. What does not begin
// in time, or does not move, ends.
func TestLongStreams(t *testing.T) {
	t.Parallel()
	g := withStreams(t)
	for protocol, client := range bothClients(t) {
		for _, route := range []string{"stream", "h2"} {
			t.Run(protocol+" to "+route, func(t *testing.T) {
				t.Parallel()
				query, came := fmt.Sprintf("%s-%s-%p", protocol, route, g), make(chan struct{})
				firstEvents.Store(query, came)
				began := time.Now()
				resp, err := client.Get(g.url("public", "/"+route+"/events?"+query))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				lines := bufio.NewScanner(resp.Body)
				if !lines.Scan() || lines.Text() != "data: 0" {
					t.Fatalf("the first event: %q, %v", lines.Text(), lines.Err())
				}
				close(came) // one that is held back until there are more would never have come
				events := 1
				for lines.Scan() {
					if strings.HasPrefix(lines.Text(), "data: ") {
						events++
					}
				}
				if took := time.Since(began); lines.Err() != nil || events != 12 || took < 1100*time.Millisecond {
					t.Errorf("%d events in %v, %v", events, took, lines.Err())
				}
			})
		}
		t.Run(protocol+", and what is none", func(t *testing.T) {
			t.Parallel()
			if whole, err := readAll(client.Get(g.url("public", "/whole/events"))); err == nil {
				t.Errorf("an answer of 1.2s came through a route that gives 500ms: %q", whole)
			}
		})
	}
	for path, atLeast := range map[string]time.Duration{"/stream/late": 500 * time.Millisecond, "/again/late": 400 * time.Millisecond, "/whole/late": 500 * time.Millisecond, "/silent/late": 500 * time.Millisecond} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			get(t, g.url("public", path)).denied(t, 504, "backend-timeout")
			if took := time.Since(began); took < atLeast-50*time.Millisecond { // the clocks are two
				t.Errorf("it ended after %v, and had at least %v", took, atLeast)
			}
		})
	}
	t.Run("what does not move", func(t *testing.T) {
		t.Parallel()
		if got, err := readAll(client.Get(g.url("public", "/silent/stall"))); err == nil || got != "data: 0\n\n" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("what is judged", func(t *testing.T) {
		t.Parallel()
		get(t, g.url("public", "/stream/keyed/events")).denied(t, 401, "credential-missing")
		get(t, g.url("public", "/stream/keyed/events"), g.createKey().header()).ok(t)
	})
}

// readAll is the body of an answer, as far as it came.
func readAll(resp *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// TestCallsHaveTheirDeadline: a route for gRPC that says no time gives a call as long
// as its client does, and no longer.
func TestCallsHaveTheirDeadline(t *testing.T) {
	t.Parallel()
	g := withStreams(t)
	conn, err := grpc.NewClient(g.listeners["public"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	deadline, _ := ctx.Deadline()
	watch, err := healthv1.NewHealthClient(conn).Watch(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	// The gateway resets the stream at the time at which the client gives it up, and may
	// be heard first.
	_, err = watch.Recv()
	if code := status.Code(err); code != codes.DeadlineExceeded && code != codes.Internal {
		t.Errorf("a watch after its deadline: %v", err)
	}
	if left := time.Until(deadline); left > 100*time.Millisecond {
		t.Errorf("a watch ended %v before its deadline: %v", left, err)
	}
	// A client that has forgotten its call: the gateway has not.
	f := g.frames("public")
	if err := f.Ask(1, "POST", "/grpc.health.v1.Health/Watch", false, field{"content-type", "application/grpc"}, field{"te", "trailers"}, field{"grpc-timeout", "300m"}); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteData(1, true, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if got := f.status(t, 1); got != "200" {
		t.Errorf("the answer begins with %s", got)
	}
	end := f.until(t, func(frame http2.Frame) bool {
		switch frame := frame.(type) {
		case *http2.RSTStreamFrame:
			return true
		case *http2.MetaHeadersFrame:
			return frame.StreamEnded()
		}
		return false
	})
	if took := time.Since(began); end == nil || took < 200*time.Millisecond {
		t.Errorf("it ended after %v by %v", took, end)
	}
}

// TestEarlyAnswers: an answer that comes before the request has ended reaches the
// client, and both sides can speak at once.
func TestEarlyAnswers(t *testing.T) {
	t.Parallel()
	g := withStreams(t)
	for protocol, client := range bothClients(t) {
		for _, route := range []string{"stream", "h2", "whole"} {
			t.Run(protocol+" to "+route, func(t *testing.T) {
				t.Parallel()
				body, more := io.Pipe()
				defer more.Close()
				go func() { _, _ = io.WriteString(more, "begin") }() // and no more
				r, err := http.NewRequest(http.MethodPost, g.url("public", "/"+route+"/early"), body)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != http.StatusConflict {
					t.Errorf("status %d", resp.StatusCode)
				}
				resp.Body.Close()
			})
		}
	}
	for protocol, client := range map[string]*http.Client{"http2": bothClients(t)["http2"]} { // Go's client of HTTP/1.1 does not
		for _, route := range []string{"stream", "h2"} {
			t.Run(protocol+" both ways to "+route, func(t *testing.T) {
				t.Parallel()
				body, say := io.Pipe()
				r, err := http.NewRequest(http.MethodPost, g.url("public", "/"+route+"/echo"), body)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				heard := bufio.NewReader(resp.Body)
				for n := range 8 { // longer than the route's timeout
					if _, err := fmt.Fprintf(say, "%d\n", n); err != nil {
						t.Fatal(err)
					}
					if line, err := heard.ReadString('\n'); err != nil || line != fmt.Sprintf("%d\n", n) {
						t.Fatalf("said %d, heard %q, %v", n, line, err)
					}
					time.Sleep(100 * time.Millisecond)
				}
				say.Close() // half of it: the answer ends by itself
				if rest, err := io.ReadAll(heard); err != nil || len(rest) > 0 {
					t.Errorf("after the end: %q, %v", rest, err)
				}
			})
		}
	}
}

// TestHead: an answer to HEAD has the length of what GET would have, and no body,
// and the connection goes on.
func TestHead(t *testing.T) {
	t.Parallel()
	g := withStreams(t)
	for protocol, client := range bothClients(t) {
		for _, path := range []string{"/stream/head", "/h2/head"} {
			resp, err := client.Head(g.url("public", path))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK || resp.ContentLength != 1000 {
				t.Errorf("%s, %s: status %d, length %d", protocol, path, resp.StatusCode, resp.ContentLength)
			}
			if got, err := readAll(client.Get(g.url("public", path))); err != nil || len(got) != 1000 {
				t.Errorf("%s, %s: GET after it: %d bytes, %v", protocol, path, len(got), err)
			}
		}
	}
	conn := g.connect("public")
	if _, err := io.WriteString(conn, "HEAD /closed/head HTTP/1.1\r\nHost: a\r\n\r\nGET /stream/head HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	denied, err := http.ReadResponse(r, &http.Request{Method: http.MethodHead})
	if err != nil || denied.StatusCode != http.StatusUnauthorized {
		t.Fatalf("%v, %v", denied, err)
	}
	if next, err := readAll(http.ReadResponse(r, nil)); err != nil || len(next) != 1000 {
		t.Errorf("after a denial of HEAD: %d bytes, %v", len(next), err)
	}
}

// TestExpectations: who asks before sending a body is told by the gateway, and never
// by the backend; or by the backend, once it has been judged.
func TestExpectations(t *testing.T) {
	t.Parallel()
	g := withStreams(t)
	key := g.createKey()
	for name, c := range map[string]struct {
		listener, path, key string
		want                []int  // the statuses, the body being sent after a 100
		expect              string // what the backend sees
	}{
		"answered by the gateway":         {"plain", "/stream/expect", "", []int{100, 200}, ""},
		"answered before the judgement":   {"plain", "/closed/expect", "", []int{100, 401}, ""},
		"by the backend":                  {"asks", "/stream/expect", "", []int{100, 200}, "100-continue"},
		"by the backend over HTTP/2":      {"asks", "/h2/expect", "", []int{100, 200}, ""}, // Go keeps it to itself there
		"denied before the body is there": {"asks", "/closed/expect", "", []int{401}, ""},
		"judged, and then asked":          {"asks", "/closed/expect", key.Key, []int{100, 200}, "100-continue"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := g.connect(c.listener)
			if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: a\r\nX-API-Key: %s\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", c.path, c.key); err != nil {
				t.Fatal(err)
			}
			var got []int
			var last *http.Response
			for r := bufio.NewReader(conn); len(got) < len(c.want); {
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatalf("after %v: %v", got, err)
				}
				got, last = append(got, resp.StatusCode), resp
				if resp.StatusCode == http.StatusContinue {
					if _, err := io.WriteString(conn, "body"); err != nil {
						t.Fatal(err)
					}
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) || last.Header.Get("X-Expect") != c.expect {
				t.Errorf("%v, want %v; the backend sees %q, want %q", got, c.want, last.Header.Get("X-Expect"), c.expect)
			}
		})
	}
}

// TestTrailers: what stands behind a body passes both ways where both the listener and
// the backend say so, or speak HTTP/2; and there, too, nobody makes up who they are.
func TestTrailers(t *testing.T) {
	t.Parallel()
	g := withStreams(t)
	for protocol, client := range bothClients(t) {
		for _, c := range []struct {
			listener, route  string
			request, respond bool
		}{
			{"public", "stream", true, true},
			{"public", "h2", true, true},
			{"plain", "stream", protocol == "http2", protocol == "http2"},
			{"plain", "h2", protocol == "http2", protocol == "http2"},
			{"public", "old", false, false},
		} {
			t.Run(protocol+" by "+c.listener+" to "+c.route, func(t *testing.T) {
				t.Parallel()
				r, err := http.NewRequest(http.MethodPost, g.url(c.listener, "/"+c.route+"/trailers"), io.MultiReader(strings.NewReader("body")))
				if err != nil {
					t.Fatal(err)
				}
				r.Trailer = http.Header{"X-Check": {"23"}, "X-User-Id": {"admin"}, "X-Tenant-Id": {"gold"}, "Authorization": {"Basic eDp5"}, "Cookie": {"a=b"}}
				resp, err := client.Do(r)
				got, err := readAll(resp, err)
				if err != nil {
					t.Fatal(err)
				}
				if want := map[bool]string{true: "map[X-Check:[23]]", false: "map[]"}[c.request]; clean(got) != want {
					t.Errorf("the backend has %s, want %s", got, want)
				}
				if sum := resp.Trailer.Get("X-Sum"); (sum == "17") != c.respond {
					t.Errorf("the client has %q, want it %v", sum, c.respond)
				}
			})
		}
	}
}

// clean is what a backend says that it had of trailers, without those that were
// announced and did not come.
func clean(trailers string) string {
	for _, name := range []string{"Authorization", "Cookie", "X-Check", "X-Tenant-Id", "X-User-Id"} {
		trailers = strings.ReplaceAll(trailers, name+":[] ", "")
		trailers = strings.ReplaceAll(trailers, " "+name+":[]", "")
		trailers = strings.ReplaceAll(trailers, name+":[]", "")
	}
	return trailers
}
