package test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

const pressed = `
listeners:
  - {name: public, address: "{{listen "public"}}", bounds: {idleTimeout: 24h}}
backends:
  app: {endpoints: ["{{.app}}"]}
routes:
  - {name: all, match: {path: /**}, auth: public, to: [{backend: app}]}
`

// pressure is a file from which an Envoy is told how full its heap is.
type pressure struct {
	t    *testing.T
	file string
}

// is says how full, from 0 to 1. Envoy looks when the file is replaced.
func (p *pressure) is(share string) {
	p.t.Helper()
	next := p.file + ".next"
	if err := errors.Join(os.WriteFile(next, []byte(share), 0o600), os.Rename(next, p.file)); err != nil {
		p.t.Fatal(err)
	}
}

// underPressure is a gateway with an Envoy that is started elsewhere, by our bootstrap but
// for its monitor of the heap, which reads a file instead.
func underPressure(t *testing.T) (*gateway, *pressure) {
	t.Helper()
	g := launch(t, setup{config: pressed, serve: true, values: map[string]string{"app": backend(t, "app").Addr()}})
	g.waitReady()
	p := &pressure{t: t, file: filepath.Join(t.TempDir(), "pressure")}
	p.is("0")
	bootstrap := g.run("bootstrap", "--admin", "127.0.0.1:0", "--max-heap", "1GiB")
	const heap = "'@type': type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig\n      max_heap_size_bytes: \"1073741824\""
	injected := "'@type': type.googleapis.com/envoy.extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig\n      filename: " + p.file
	told := bytes.Replace(bootstrap, []byte(heap), []byte(injected), 1)
	if bytes.Equal(told, bootstrap) {
		t.Fatalf("the bootstrap has another monitor:\n%s", bootstrap)
	}
	testenv.StartEnvoy(t, testenv.EnvoyRun{Config: told})
	eventually(t, "the Envoy serves", func() error {
		r, err := try(http.MethodGet, g.url("public", "/first"))
		if err == nil && r.Status != http.StatusOK {
			err = errStatus(r)
		}
		return err
	})
	return g, p
}

// answer asks on a connection, and tells the status and whether the connection ends.
func answer(conn net.Conn) (status int, ends bool, err error) {
	if err := conn.SetDeadline(time.Now().Add(attackTime)); err != nil {
		return 0, false, err
	}
	if _, err := io.WriteString(conn, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return 0, false, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, false, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Close, err
}

// answersBecome waits until new connections are answered so.
func (g *gateway) answersBecome(t *testing.T, what string, status int, ends bool) {
	t.Helper()
	eventually(t, what, func() error {
		got, closes, err := answer(g.connect("public"))
		if err == nil && (got != status || closes != ends) {
			err = fmt.Errorf("status %d, the connection ends: %t", got, closes)
		}
		return err
	})
}

// TestWhatIsDoneUnderPressure: as the heap fills, answers end their connections, then
// requests are turned away, then connections wait; and when it empties, all is as before.
func TestWhatIsDoneUnderPressure(t *testing.T) {
	t.Parallel()
	g, heap := underPressure(t)
	g.answersBecome(t, "at first", http.StatusOK, false)
	heap.is("0.93")
	g.answersBecome(t, "from 92 % on answers end their connections", http.StatusOK, true)
	heap.is("0.96")
	g.answersBecome(t, "from 95 % on requests are turned away", http.StatusServiceUnavailable, true)
	heap.is("0")
	g.answersBecome(t, "below, all is as before", http.StatusOK, false)

	heap.is("0.99")
	var waits net.Conn
	eventually(t, "from 98 % on nobody is accepted", func() error {
		waits = g.connect("public")
		if err := waits.SetDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			return err
		}
		if _, err := io.WriteString(waits, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
			return err
		}
		if _, err := waits.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("there is an answer, or an end: %v", err)
		}
		return nil
	})
	heap.is("0")
	if err := waits.SetDeadline(time.Now().Add(attackTime)); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(waits), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("one that has waited: %v, %v", resp, err)
	}
}

// TestIdleLeaveSoonerUnderPressure: a connection that might be idle for a day ends by
// itself, after the least time that there is, when the heap is as good as full.
func TestIdleLeaveSoonerUnderPressure(t *testing.T) {
	t.Parallel()
	g, heap := underPressure(t)
	idle := g.connect("public")
	if status, ends, err := answer(idle); status != http.StatusOK || ends || err != nil {
		t.Fatal(status, ends, err)
	}
	heap.is("0.95")
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("it has not ended: %v", err)
	}
}
