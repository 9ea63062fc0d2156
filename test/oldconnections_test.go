package test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const withoutBounds = `
listeners:
  - {name: public, address: "{{listen "public"}}", trailers: true}
backends:
  app: {endpoints: ["{{.app}}"] TRAILERS}
routes:
  - {name: app, match: {path: /app}, auth: public, to: [{backend: app}] BOUND}
  - {name: other, match: {path: /other}, auth: public, to: [{backend: app}]}
`

func boundless(replace ...string) string {
	return strings.NewReplacer(append(replace, "TRAILERS", "", "BOUND", "")...).Replace(withoutBounds)
}

// counting is a backend that tells how long a body was, and what it had of trailers.
func counting(w http.ResponseWriter, r *http.Request) bool {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return true // the gateway has broken it off
	}
	fmt.Fprintf(w, "%d bytes, trailers %v", n, r.Trailer)
	return true
}

// posted is the answer to a request on a connection that stays. A connection that ends
// is none.
func posted(conn io.ReadWriter, request string) (status int, body string, err error) {
	if _, err := io.WriteString(conn, request); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

func chunkedPost(path, trailers string, chunks ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", path)
	for _, c := range chunks {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(c), c)
	}
	return b.String() + "0\r\n" + trailers + "\r\n"
}

func lengthPost(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// TestFirstBoundOnOldConnections: the first route of a gateway that bounds its bodies
// bounds them at once, on connections that were open before, too; and no other route does.
func TestFirstBoundOnOldConnections(t *testing.T) {
	t.Parallel()
	// A listener that drains tells its clients to leave by and by; none is told in this time.
	app := backendThat(t, "app", counting).Addr()
	g := start(t, setup{config: boundless(), values: map[string]string{"app": app}, env: []string{"GATEWRIGHT_LISTENER_DRAIN=24h"}})
	long, short := strings.Repeat("x", 2000), strings.Repeat("x", 500)
	kept := g.connect("public")
	if status, got, err := posted(kept, lengthPost("/app", long)); err != nil || status != http.StatusOK {
		t.Fatal(status, got, err)
	}
	// One more for each that the gateway may close: it has not taken all of the body.
	announced, streamed := g.connect("public"), g.connect("public")
	framed := g.frames("public")
	if err := framed.Ask(framed.Next(), "GET", "/other", true); err != nil {
		t.Fatal(err)
	}
	if got := framed.status(t, framed.Last); got != "200" {
		t.Fatal(got)
	}
	for _, conn := range []io.ReadWriter{announced, streamed} {
		if status, _, err := posted(conn, lengthPost("/other", short)); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
	}

	g.write(boundless("BOUND", ", maxBodyBytes: 1000"))
	g.applied(1)
	for name, c := range map[string]struct {
		conn    io.ReadWriter
		request string
		status  int
	}{
		"a long body that says so": {announced, lengthPost("/app", long), http.StatusRequestEntityTooLarge},
		"a long body in chunks":    {streamed, chunkedPost("/app", "", short, short, short), http.StatusRequestEntityTooLarge},
		"a short body":             {kept, lengthPost("/app", short), http.StatusOK},
	} {
		if status, got, err := posted(c.conn, c.request); err != nil || status != c.status {
			t.Errorf("%s: %d %q, %v; want %d", name, status, got, err, c.status)
		}
	}
	for _, request := range []string{chunkedPost("/app", "", short), lengthPost("/other", long), chunkedPost("/other", "", short, short, short)} {
		if status, got, err := posted(kept, request); err != nil || status != http.StatusOK {
			t.Errorf("what is not too long, or is for another route: %d %q, %v", status, got, err)
		}
	}
	if err := framed.Ask(framed.Next(), "POST", "/app", false); err != nil {
		t.Fatal(err)
	}
	if err := framed.WriteData(framed.Last, false, []byte(long)); err != nil {
		t.Fatal(err)
	}
	if got := framed.status(t, framed.Last); got != "413" {
		t.Errorf("a long body by HTTP/2 without a length: %s", got)
	}
	// New connections are refused by the listener, and the backend's part does no harm.
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"long": {lengthPost("/app", long), http.StatusRequestEntityTooLarge}, "short": {chunkedPost("/app", "", short), http.StatusOK},
	} {
		if status, got, err := posted(g.connect("public"), c.request); err != nil || status != c.status {
			t.Errorf("a %s body on a new connection: %d %q, %v", name, status, got, err)
		}
	}
}

// TestFirstTrailersOnOldConnections: the first backend of a gateway that is sent trailers
// gets none that clients may not set, on connections that were open before either, and from
// its first request on.
func TestFirstTrailersOnOldConnections(t *testing.T) {
	t.Parallel()
	app := backendThat(t, "app", counting).Addr()
	g := start(t, setup{config: boundless(), values: map[string]string{"app": app}, env: []string{"GATEWRIGHT_LISTENER_DRAIN=24h"}})
	kept := g.connect("public")
	request := strings.Replace(chunkedPost("/app", "X-Sum: 42\r\nX-User-ID: root\r\nAuthorization: Basic eA==\r\n", "body"), "\r\nTransfer", "\r\nTrailer: X-Sum, X-User-ID, Authorization\r\nTransfer", 1)
	if status, got, err := posted(kept, request); err != nil || status != http.StatusOK || strings.Contains(got, "42") {
		t.Fatal("before: ", status, got, err)
	}
	g.write(boundless("TRAILERS", ", trailers: true"))
	deadline := time.Now().Add(attackTime)
	for passed := false; !passed; {
		status, got, err := posted(kept, request)
		if err != nil || status != http.StatusOK {
			t.Fatal(status, got, err)
		}
		if strings.Contains(got, "root") || strings.Contains(got, "Basic") {
			t.Fatalf("the backend has seen %s", got)
		}
		passed = strings.Contains(got, "42")
		if !passed && time.Now().After(deadline) {
			t.Fatalf("no trailers pass: %s", got)
		}
	}
}
