package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

const overloaded = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"], connections: {max: 5000, maxRequests: 5000}}
routes:
  - {name: all, match: {path: /**}, auth: public, to: [{backend: app}], timeout: 24h}
`

// envoyStat is a number that the Envoy of a gateway tells of itself.
func envoyStat(t testing.TB, temporary, name string) string {
	t.Helper()
	socket, err := adminSocket(temporary)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := adminClient(socket).Get("http://envoy/stats?filter=" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(strings.TrimSpace(string(body)), ": ")
	return value
}

// TestConnectionsAreBounded: clients beyond the bound are closed, those within it are
// served, also those who come when others have gone; and operators get through.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	const bound = 20
	g := start(t, setup{config: overloaded, env: []string{fmt.Sprintf("GATEWRIGHT_ENVOY_MAX_CONNECTIONS=%d", bound)}, values: map[string]string{"app": backend(t, "app").Addr()}})
	const request = "GET /app HTTP/1.1\r\nHost: a\r\n\r\n"
	var open []net.Conn
	dial := func() (net.Conn, error) {
		conn := connectFrom(t, "127.0.0.1", g.listeners["public"])
		r, err := spoken(conn, request)
		if err == nil && r.Status != http.StatusOK {
			err = errStatus(r)
		}
		return conn, err
	}
	for i := range bound {
		conn, err := dial()
		if err != nil {
			t.Fatalf("client %d of %d: %v", i+1, bound, err)
		}
		open = append(open, conn)
	}
	for range 5 {
		if _, err := dial(); err == nil {
			t.Error("a client beyond the bound is served")
		}
	}
	for i, conn := range open {
		if r, err := spoken(conn, request); err != nil || r.Status != http.StatusOK {
			t.Errorf("client %d, beside those beyond the bound: %v %d", i+1, err, r.Status)
		}
	}
	g.waitReady() // it asks Envoy, whose bound is reached
	for _, conn := range open[:5] {
		conn.Close()
	}
	eventually(t, "others are served when some have gone", func() error {
		_, err := dial()
		return err
	})
}

// TestHeapIsBounded: near the bound of its heap Envoy answers new requests with 503,
// serves those that it has, and all again when the load has gone.
func TestHeapIsBounded(t *testing.T) {
	t.Parallel()
	temporary := testenv.ShortDir(t)
	release := make(chan struct{})
	app := backendThat(t, "app", func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/held" {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		return false
	})
	g := start(t, setup{config: overloaded, values: map[string]string{"app": app.Addr()}, env: []string{"GATEWRIGHT_ENVOY_MAX_HEAP=64MiB", "TMPDIR=" + temporary}})
	get(t, g.url("public", "/calm")).ok(t)
	// Requests with large headers, which Envoy has in memory for as long as the backend
	// takes.
	head := "GET /held HTTP/1.1\r\nHost: a\r\n"
	for i := range 6 {
		head += fmt.Sprintf("X-Fill-%d: %s\r\n", i, strings.Repeat("x", 8000))
	}
	// Those who look have connections already: nearer still to the bound, new ones
	// are not accepted.
	ask := func(conn net.Conn, path string) int {
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			t.Fatal(path, ": ", err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(path, ": ", err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	var lookers, held []net.Conn
	for range 150 {
		conn := connectFrom(t, "127.0.0.1", g.listeners["public"])
		if status := ask(conn, "/calm"); status != http.StatusOK {
			t.Fatalf("before there is load: status %d", status)
		}
		lookers = append(lookers, conn)
	}
	shed := false
	for i := 0; i < 20*len(lookers) && !shed; i++ {
		conn := connectFrom(t, "127.0.0.1", g.listeners["public"])
		if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
		if i%20 == 0 {
			status := ask(lookers[i/20], "/probe")
			shed = status == http.StatusServiceUnavailable
			if !shed && status != http.StatusOK {
				t.Fatalf("with %d requests held: status %d", len(held), status)
			}
		}
	}
	if !shed {
		t.Fatalf("%d requests are held, and none is turned away: pressure %s", len(held), envoyStat(t, temporary, "fixed_heap.pressure"))
	}
	close(release)
	served := 0
	for _, conn := range held {
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal("one that was in flight: ", err)
		}
		resp.Body.Close()
		switch resp.StatusCode {
		case http.StatusOK:
			served++
		case http.StatusServiceUnavailable: // it came when there was no room any more
		default:
			t.Errorf("one that was in flight: status %d", resp.StatusCode)
		}
		conn.Close()
	}
	if served < len(held)-40 { // of which the last 20 came between two probes
		t.Errorf("of %d that were in flight %d are served", len(held), served)
	}
	eventually(t, "all is served again", func() error {
		for range 20 {
			if r := get(t, g.url("public", "/after")); r.Status != http.StatusOK {
				return fmt.Errorf("status %d, pressure %s", r.Status, envoyStat(t, temporary, "fixed_heap.pressure"))
			}
		}
		return nil
	})
}
