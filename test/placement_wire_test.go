package test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"

	"github.com/gatewright/gatewright/internal/floods"
)

// wireRequest is a request as its bytes, so that it may be spelled as no library would.
type wireRequest struct {
	method, target string
	headers        []header
	// by is by which of some ways it goes, see twins.ways.
	by int
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
	// status is 0 where the stream was reset.
	status  int
	headers string
	// body is the problem document of a denial, or what the backend has seen.
	body string
	// times are headers that count seconds.
	times string
}

// wire is a connection to a listener that is kept while it may be.
type wire struct {
	addr string
	// secured is TLS, nil for none.
	secured *tls.Config
	// frames has HTTP/2 spoken, and not HTTP/1.1.
	frames bool
	// twice is how many requests were sent again, since their connection had ended, and
	// were answered then. Of these the first may have been judged, too.
	twice int

	conn net.Conn
	talk interface {
		exchange(r wireRequest) (answer wireAnswer, keep bool, err error)
	}
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
		if answer, err = w.try(r); err == nil {
			w.twice++
		}
	}
	return answer, err
}

func (w *wire) try(r wireRequest) (wireAnswer, error) {
	if w.conn == nil {
		if err := w.open(); err != nil {
			return wireAnswer{}, err
		}
	}
	if err := w.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return wireAnswer{}, err
	}
	answer, keep, err := w.talk.exchange(r)
	if err != nil || !keep {
		w.close()
	}
	return answer, err
}

// open connects.
func (w *wire) open() (err error) {
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		return err
	}
	scheme := "http"
	if w.secured != nil {
		conn, scheme = tls.Client(conn, w.secured), "https"
	}
	if !w.frames {
		w.conn, w.talk = conn, lineTalk{conn, bufio.NewReader(conn)}
		return nil
	}
	frames, err := floods.Talk(conn)
	if err != nil {
		return err
	}
	w.conn, w.talk = conn, frameTalk{frames, scheme}
	return nil
}

// lineTalk speaks HTTP/1.1.
type lineTalk struct {
	conn   net.Conn
	reader *bufio.Reader
}

func (l lineTalk) exchange(r wireRequest) (answer wireAnswer, keep bool, err error) {
	if _, err := io.WriteString(l.conn, r.String()); err != nil {
		return answer, false, err
	}
	response, err := http.ReadResponse(l.reader, &http.Request{Method: r.method})
	if err != nil {
		return answer, false, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer, false, err
	}
	return answerOf(response.StatusCode, response.Header, body), !response.Close && r.method != http.MethodConnect, nil
}

// frameTalk speaks HTTP/2.
type frameTalk struct {
	*floods.Frames
	scheme string
}

func (f frameTalk) exchange(r wireRequest) (answer wireAnswer, keep bool, err error) {
	fields := []field{{":method", r.method}, {":scheme", f.scheme}, {":authority", ""}, {":path", r.target}}
	for _, h := range r.headers {
		if name := strings.ToLower(h.name); name == "host" {
			fields[2][1] = h.value
		} else {
			fields = append(fields, field{name, h.value})
		}
	}
	stream := f.Next()
	if err := f.Send(stream, true, fields...); err != nil {
		return answer, false, err
	}
	return f.answer(stream)
}

// answer reads frames until those of a stream have ended.
func (f frameTalk) answer(stream uint32) (answer wireAnswer, keep bool, err error) {
	status, headers, keep := 0, http.Header{}, true
	var body bytes.Buffer
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return answer, false, err
		}
		ended := false
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = f.WriteSettingsAck()
			}
		case *http2.GoAwayFrame:
			if keep = false; frame.ErrCode != http2.ErrCodeNo {
				err = fmt.Errorf("the connection has ended: %v", frame.ErrCode)
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == stream {
				return wireAnswer{body: "reset: " + frame.ErrCode.String()}, keep, nil
			}
		case *http2.MetaHeadersFrame:
			for _, h := range frame.RegularFields() {
				headers.Add(h.Name, h.Value)
			}
			if text := frame.PseudoValue("status"); text != "" {
				status, err = strconv.Atoi(text)
			}
			ended = frame.StreamEnded()
		case *http2.DataFrame:
			body.Write(frame.Data())
			if n := frame.Length; n > 0 {
				err = errors.Join(f.WriteWindowUpdate(0, n), f.WriteWindowUpdate(stream, n))
			}
			ended = frame.StreamEnded()
		}
		if err != nil {
			return answer, false, err
		}
		if ended {
			return answerOf(status, headers, body.Bytes()), keep, nil
		}
	}
}

func answerOf(status int, headers http.Header, body []byte) wireAnswer {
	var times []string
	for _, name := range []string{"Retry-After", "Ratelimit-Reset", "X-Ratelimit-Reset"} {
		times = append(times, headers.Get(name))
		headers.Del(name)
	}
	return wireAnswer{status, steadyHeaders(headers), steadyBody(body), strings.Join(times, " ")}
}

// same tells whether two answers are one, but for seconds that have passed since limits
// began to count: Envoy says by what is left when a bucket is full, and Gatewright to the
// second.
func (a wireAnswer) same(b wireAnswer, passed time.Duration) bool {
	return a.status == b.status && a.headers == b.headers && a.body == b.body &&
		slices.EqualFunc(strings.Split(a.times, " "), strings.Split(b.times, " "), func(x, y string) bool { return x == y || noFurtherApart(x, y, passed) })
}

// noFurtherApart tells whether two texts are numbers of seconds that are no further apart.
func noFurtherApart(x, y string, apart time.Duration) bool {
	a, errA := strconv.Atoi(x)
	b, errB := strconv.Atoi(y)
	return errA == nil && errB == nil && time.Duration(max(a-b, b-a))*time.Second <= apart
}

// withoutLimits is an answer without what is left of a limit.
func (a wireAnswer) withoutLimits() wireAnswer {
	lines := strings.Split(a.headers, "\n")
	lines = slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(strings.ToLower(line), "ratelimit-") })
	a.headers, a.times = strings.Join(lines, "\n"), ""
	return a
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
