package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// wireRequest is a request as its bytes, so that it may be spelled as no library would.
type wireRequest struct {
	method, target string
	headers        []header
}

func (r wireRequest) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.method, r.target)
	for _, h := range r.headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.name, h.value)
	}
	return b.String() + "\r\n"
}

// wireAnswer is all of an answer that must not depend on where a policy runs. It is
// comparable.
type wireAnswer struct {
	status  int
	headers string
	// body is the problem document of a denial, or what the backend has seen.
	body string
}

// wire is a connection to a listener that is kept while it may be.
type wire struct {
	addr   string
	conn   net.Conn
	reader *bufio.Reader
}

func (w *wire) close() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

// ask sends a request and reads the answer. A connection that has ended meanwhile, as
// any that is kept may, is made anew, once.
func (w *wire) ask(r wireRequest) (wireAnswer, error) {
	kept := w.conn != nil
	answer, err := w.try(r)
	if err != nil && kept {
		answer, err = w.try(r)
	}
	return answer, err
}

func (w *wire) try(r wireRequest) (wireAnswer, error) {
	if w.conn == nil {
		conn, err := net.Dial("tcp", w.addr)
		if err != nil {
			return wireAnswer{}, err
		}
		w.conn, w.reader = conn, bufio.NewReader(conn)
	}
	answer, keep, err := w.exchange(r)
	if err != nil || !keep {
		w.close()
	}
	return answer, err
}

func (w *wire) exchange(r wireRequest) (answer wireAnswer, keep bool, err error) {
	if err := w.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return answer, false, err
	}
	if _, err := io.WriteString(w.conn, r.String()); err != nil {
		return answer, false, err
	}
	response, err := http.ReadResponse(w.reader, &http.Request{Method: r.method})
	if err != nil {
		return answer, false, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer, false, err
	}
	answer = wireAnswer{response.StatusCode, steadyHeaders(response.Header), steadyBody(body)}
	return answer, !response.Close && r.method != http.MethodConnect, nil
}

// passing are headers that differ from one request to the next, whoever judges.
var passing = []string{
	"Date", "X-Trace-Id", "X-Request-Id", "Traceparent", "Tracestate", "X-Envoy-Upstream-Service-Time", "Content-Length", "X-Envoy-Expected-Rq-Timeout-Ms",
}

func steadyHeaders(all http.Header) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !slices.Contains(passing, name) {
			lines = append(lines, fmt.Sprintf("%s: %q", name, all[name]))
		}
	}
	return strings.Join(lines, "\n")
}

// steadyBody is a body without what differs from one request to the next.
func steadyBody(body []byte) string {
	var seen echo
	if json.Unmarshal(body, &seen) != nil || seen.Backend == "" {
		return withoutTrace(body)
	}
	headers := steadyHeaders(seen.Headers)
	seen.Headers = nil
	return fmt.Sprintf("%+v\n%s", seen, headers)
}

// withoutTrace is a problem document without the id of its trace.
func withoutTrace(body []byte) string {
	var document map[string]any
	if json.Unmarshal(body, &document) != nil {
		return string(body)
	}
	delete(document, "trace_id")
	delete(document, "traceId")
	delete(document, "instance")
	rest, err := json.Marshal(document)
	if err != nil {
		return string(body)
	}
	return string(rest)
}

// reasonOf is why an answer denies; empty where it does not.
func (a wireAnswer) reason() string {
	var document struct{ Reason string }
	if json.Unmarshal([]byte(a.body), &document) != nil {
		return ""
	}
	return document.Reason
}
