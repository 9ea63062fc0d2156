package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/gatewright/gatewright/internal/testenv"
)

// Attackers that wait for a time-out come to the listener hasty, whose times are short;
// everybody else is at another of the same Envoy, with the same thread and backend, so
// that no time-out can meet who does no harm.
const flooded = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
  - name: hasty
    address: "{{listen "hasty"}}"
    bounds: {headersTimeout: 700ms, requestTimeout: 700ms, streamIdleTimeout: 700ms, idleTimeout: 700ms}
backends:
  app: {endpoints: ["{{.app}}"]}
routes:
  - {name: all, match: {path: /**}, auth: public, to: [{backend: app}], timeout: 30s}
`

// attackTime is when a test gives up waiting for the end of an attack.
const attackTime = time.Minute

// attack is what many connections do to a listener, again and again.
type attack struct {
	name, listener string
	connections    int
	// holds is how much of Envoy's memory one of them may hold while it is there, in
	// bytes.
	holds int
	// one is one of them. It returns when the gateway has ended the connection, or what
	// was asked on it.
	one func(addr string) error
}

// What a connection may hold. One that asks for little has buffers. With HTTP/1.1 it has its headers, of 60 KiB, as they came
// and one by one: they are not counted before the last has come, so there may be 15 000,
// of a hundred bytes each. With HTTP/2 it is what the bounds of frames leave (1 000 answers to PINGs
// and SETTINGS, 10 000 frames in all), and for each of a hundred streams its state, headers
// of 60 KiB, what is buffered on both sides, 32 KiB each, and what is read before that is noticed.
const (
	kib       = 1 << 10
	inBuffers = 96 * kib
	inOne     = (60 + 1500) * kib
	inFrames  = 1024 * kib
	inStreams = 100 * (40 + 60 + 3*32) * kib
)

// text is an attack in HTTP/1.1: bytes, and then others again and again, until the
// gateway closes the connection. What it answers is read.
func text(first, again string, pause time.Duration) func(addr string) error {
	return func(addr string) error {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		ended := make(chan error, 1)
		go func() { ended <- untilClosed(conn) }()
		if _, err := io.WriteString(conn, first); err != nil {
			return <-ended
		}
		for {
			select {
			case err := <-ended:
				return err
			case <-time.After(pause):
				if _, err := io.WriteString(conn, again); err != nil {
					return <-ended
				}
			}
		}
	}
}

// untilClosed reads all, and is nil when the other side has closed.
func untilClosed(conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(attackTime)); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("the gateway does not close the connection")
	}
	return nil
}

// inFlood is an attack in HTTP/2: frames again and again, until the gateway closes the
// connection. Where read is false nothing that comes is read.
func inFlood(read bool, again func(f *frames) error) func(addr string) error {
	return func(addr string) error {
		f, err := openFrames(addr)
		if err != nil {
			return err
		}
		defer f.conn.Close()
		if err := f.conn.SetDeadline(time.Now().Add(attackTime)); err != nil {
			return err
		}
		if read {
			go io.Copy(io.Discard, f.conn) // until it is closed
		}
		for {
			if err := again(f); errors.Is(err, os.ErrDeadlineExceeded) {
				return errors.New("the gateway does not close the connection")
			} else if err != nil {
				return nil
			}
		}
	}
}

// stalled is an attack in HTTP/2 that asks once, and takes nothing of what it gets.
// The gateway ends each of its streams, or the connection.
func stalled(streams int, path string) func(addr string) error {
	return func(addr string) error {
		f, err := openFrames(addr, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		if err != nil {
			return err
		}
		defer f.conn.Close()
		if err := f.conn.SetDeadline(time.Now().Add(attackTime)); err != nil {
			return err
		}
		for range streams {
			if err := f.ask(f.next(), "GET", path, true); err != nil {
				return lasting(err)
			}
		}
		for ended := 0; ended < streams; {
			frame, err := f.ReadFrame()
			if err != nil {
				return lasting(err)
			}
			if _, is := frame.(*http2.RSTStreamFrame); is {
				ended++
			}
		}
		return nil
	}
}

// lasting is an error where a connection was not ended.
func lasting(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("the gateway does not end what is asked")
	}
	return nil
}

// asked has a request's headers, as f encodes them.
func (f *frames) asked(more ...field) []byte {
	return f.encoded(append([]field{{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/x"}}, more...)...)
}

// whole sends a request that is nothing but a block of headers.
func (f *frames) whole(stream uint32, block []byte) error {
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true, EndStream: true})
}

// begun sends the headers of a request with a body, the first time.
func (f *frames) begun() error {
	if f.last > 0 {
		return nil
	}
	return f.ask(f.next(), "POST", "/x", false)
}

// endless sends headers whose block has no end, in pieces like this.
func (f *frames) endless(piece []byte) error {
	if f.last == 0 {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: f.next(), BlockFragment: f.asked()})
	}
	return f.WriteContinuation(1, false, piece)
}

// bomb sends a request with a long header, and a thousand references to it, a byte each.
func (f *frames) bomb(header string) error {
	return f.whole(f.next(), append(f.asked(field{header, strings.Repeat("a", 3900)}), bytes.Repeat([]byte{0xbe}, 1000)...))
}

// inHTTP1 are the attacks by HTTP/1.1, or without a word of it.
func inHTTP1() []attack {
	head, post := "GET / HTTP/1.1\r\nHost: a\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
	cookies := strings.Repeat("Cookie: "+strings.Repeat("a=b; ", 100)+"\r\n", 200)
	return []attack{
		{"connections that do nothing", "hasty", 500, inBuffers, text("", "", time.Second)},
		{"headers that never end", "hasty", 100, inBuffers, text(head, "X: a\r\n", 50*time.Millisecond)},
		{"bodies that never end", "hasty", 100, inBuffers, text(post, "a", 50*time.Millisecond)},
		{"bodies that stand still", "hasty", 100, inBuffers, text(post, "", time.Second)},
		{"long headers", "public", 50, inOne, text(head, "X: "+strings.Repeat("a", 8<<10)+"\r\n", time.Millisecond)},
		{"many cookies", "public", 50, inOne, text(head+cookies+"\r\n", "", time.Second)},
		{"many headers", "public", 50, inOne, text(head+headerLines(2000)+"\r\n", "", time.Second)},
		{"small headers", "public", 50, inOne, text(head+strings.Repeat("a:\r\n", 15000)+"\r\n", "", time.Second)},
	}
}

// inHTTP2 are those by HTTP/2.
func inHTTP2() []attack {
	return []attack{
		{"SETTINGS", "public", 4, inFrames, inFlood(false, func(f *frames) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65535})
		})},
		{"PING", "public", 4, inFrames, inFlood(false, func(f *frames) error { return f.WritePing(false, [8]byte{}) })},
		{"PRIORITY", "public", 4, inFrames, inFlood(true, func(f *frames) error { return f.WritePriority(1, http2.PriorityParam{StreamDep: 3}) })},
		{"WINDOW_UPDATE", "public", 4, inFrames, inFlood(true, func(f *frames) error { return errors.Join(f.begun(), f.WriteWindowUpdate(1, 1)) })},
		{"empty DATA", "public", 4, inFrames, inFlood(true, func(f *frames) error { return errors.Join(f.begun(), f.WriteData(1, false, nil)) })},
		{"empty CONTINUATION", "public", 4, inFrames, inFlood(true, func(f *frames) error { return f.endless(nil) })},
		{"headers without an end", "public", 4, inFrames, inFlood(true, func(f *frames) error {
			return f.endless(f.encoded(field{"x-a", strings.Repeat("a", 1000)}))
		})},
		{"rapid resets", "public", 4, inStreams, inFlood(true, func(f *frames) error {
			stream := f.next()
			return errors.Join(f.whole(stream, f.asked()), f.WriteRSTStream(stream, http2.ErrCodeCancel))
		})},
		{"resets that the gateway is made to send", "public", 4, inStreams, inFlood(true, func(f *frames) error {
			stream := f.next()
			return errors.Join(f.whole(stream, f.asked()), f.WriteWindowUpdate(stream, 0))
		})},
		{"header bombs", "public", 4, inStreams, inFlood(true, func(f *frames) error { return f.bomb("x-bomb") })},
		{"small headers", "public", 4, inStreams, inFlood(true, func(f *frames) error {
			return f.whole(f.next(), append(f.asked(), bytes.Repeat([]byte{0x8f}, 4000)...)) // accept-charset, with nothing in it
		})},
		{"cookie bombs", "public", 4, inStreams, inFlood(true, func(f *frames) error { return f.bomb("cookie") })},
		{"answers that are not taken", "hasty", 10, inStreams, stalled(100, "/x")},
		{"long answers that are not taken", "hasty", 3, inStreams, stalled(100, "/long")},
	}
}

// envoyAllocated is the memory that an Envoy has in use, in bytes.
func envoyAllocated(temporary string) (int, error) {
	socket, err := adminSocket(temporary)
	if err != nil {
		return 0, err
	}
	text, err := readAll(adminClient(socket).Get("http://envoy/memory"))
	if err != nil {
		return 0, err
	}
	var said struct{ Allocated string }
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		return 0, err
	}
	return strconv.Atoi(said.Allocated)
}

// othersMeanwhile is how many requests of each other client an attack goes on for.
const othersMeanwhile = 10

// TestFloods: the gateway ends each attack, whatever the attacker goes on to do; an
// attacker who comes back at once holds no more memory than is said of it; and everybody
// else is served meanwhile.
func TestFloods(t *testing.T) {
	t.Parallel()
	for version, attacks := range map[string][]attack{"HTTP1": inHTTP1(), "HTTP2": inHTTP2()} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			standsFloods(t, attacks)
		})
	}
}

func standsFloods(t *testing.T, attacks []attack) {
	temporary := testenv.ShortDir(t)
	g := start(t, setup{config: flooded, values: map[string]string{"app": longOrShort(t)}, env: []string{"TMPDIR=" + temporary}})
	kept := bothClients(t)
	others := []*http.Client{kept["http1"], kept["http2"], {Transport: &http.Transport{DisableKeepAlives: true}}}
	for _, client := range others {
		client.Timeout = attackTime
		if err := servedAlso(client, g.url("public", "/good")); err != nil {
			t.Fatal(err)
		}
	}
	envoy, worst := g.envoyPIDs()[0], 0
	before := resident(t, envoy) >> 20
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) { g.stands(t, a, temporary, others) })
		worst = max(worst, a.connections*a.holds)
	}
	// What an attack leaves is free for the next.
	if after := resident(t, envoy) >> 20; after > before+worst>>20 {
		t.Errorf("Envoy had %d MiB at first, and has %d", before, after)
	}
	if pids := g.envoyPIDs(); len(pids) != 1 {
		t.Errorf("Envoys: %v", pids)
	}
}

// stands has a gateway attacked until others have been served often enough.
func (g *gateway) stands(t *testing.T, a attack, temporary string, others []*http.Client) {
	before, err := envoyAllocated(temporary)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	most := before // guarded by mu
	var served sync.WaitGroup
	for _, client := range others {
		served.Go(func() {
			for range othersMeanwhile {
				err := servedAlso(client, g.url("public", "/good"))
				n, unknown := envoyAllocated(temporary)
				if err := errors.Join(err, unknown); err != nil {
					t.Errorf("somebody else: %v", err)
					return
				}
				mu.Lock()
				most = max(most, n)
				mu.Unlock()
			}
		})
	}
	var enough atomic.Bool
	var attackers sync.WaitGroup
	for range a.connections {
		attackers.Go(func() {
			for again := true; again; again = !enough.Load() {
				if err := a.one(g.listeners[a.listener]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	served.Wait()
	enough.Store(true)
	attackers.Wait()
	grown := most - before
	t.Logf("%d connections at once, %d KiB of at most %d", a.connections, grown>>10, a.connections*a.holds>>10)
	if grown > a.connections*a.holds {
		t.Errorf("Envoy has taken %d KiB for %d connections", grown>>10, a.connections)
	}
}

// longOrShort is a backend whose answer for /long is a megabyte.
func longOrShort(t *testing.T) string {
	long := strings.Repeat("long ", 200_000)
	return backendThat(t, "app", func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/long" {
			_, _ = io.WriteString(w, long) // the attacker does not want it
		}
		return r.URL.Path == "/long"
	}).Addr()
}

// servedAlso is a request of somebody who does no harm.
func servedAlso(client *http.Client, url string) error {
	got, err := readAll(client.Get(url))
	if err == nil && !strings.Contains(got, `"/good"`) {
		err = fmt.Errorf("%.100q", got)
	}
	return err
}

const flooding = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"], connections: {max: 60, maxPending: 60, maxRequests: 60}}
limits:
  each: {key: [clientIP], tokenBucket: {capacity: 40, refill: 1/h}}
routes:
  - {name: all, match: {path: /**}, auth: public, limits: [each], to: [{backend: app}], timeout: 60s}
`

// TestFloodOfRequests: of a client that has more requests under way at once than a
// backend takes of all together, those beyond its limit are denied, and everybody else
// is served. Without a limit there would be no room for others: nothing in a request says
// who has sent the many.
func TestFloodOfRequests(t *testing.T) {
	t.Parallel()
	const connections, streams, limit = 3, 100, 40
	release := make(chan struct{})
	app := backendThat(t, "app", func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/held" {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		return false
	})
	g := start(t, setup{config: flooding, values: map[string]string{"app": app.Addr()}})
	statuses := make(chan string, connections*streams)
	for range connections {
		f, err := talkInFrames(connectFrom(t, "127.0.0.77", g.listeners["public"]))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.conn.SetDeadline(time.Now().Add(attackTime)); err != nil {
			t.Fatal(err)
		}
		for range streams {
			if err := f.ask(f.next(), "GET", "/held", true); err != nil {
				t.Fatal(err)
			}
		}
		go func() {
			for {
				frame, err := f.ReadFrame()
				if err != nil {
					return
				}
				if headers, is := frame.(*http2.MetaHeadersFrame); is {
					statuses <- headers.PseudoValue("status")
				}
			}
		}()
	}
	count := func(n int) map[string]int {
		got := map[string]int{}
		for range n {
			select {
			case status := <-statuses:
				got[status]++
			case <-time.After(attackTime):
				t.Fatalf("of %d answers there are these: %v", n, got)
			}
		}
		return got
	}
	if got := count(connections*streams - limit); got["429"] != connections*streams-limit {
		t.Errorf("while the others are held: %v", got)
	}
	for _, client := range bothClients(t) {
		for range limit / 4 {
			if err := servedAlso(client, g.url("public", "/good")); err != nil {
				t.Errorf("somebody else: %v", err)
			}
		}
	}
	close(release)
	if got := count(limit); got["200"] != limit {
		t.Errorf("those within the limit: %v", got)
	}
}
