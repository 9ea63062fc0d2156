package authz

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// issuer is an identity provider's HTTP server, over connections in memory, so
// that it runs inside a synctest bubble and hours pass in no time.
type issuer struct {
	conns  chan net.Conn
	closed chan struct{}

	mu     sync.Mutex // guards the rest
	answer http.HandlerFunc
	visits []time.Time
}

const issuerURL = "http://id.example.com/jwks.json"

func newIssuer(t *testing.T, answer http.HandlerFunc) *issuer {
	i := &issuer{conns: make(chan net.Conn), closed: make(chan struct{}), answer: answer}
	server := &http.Server{Handler: i}
	served := make(chan error, 1)
	go func() { served <- server.Serve(i) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return i
}

// Accept, Close and Addr make the issuer its own listener.
func (i *issuer) Accept() (net.Conn, error) {
	select {
	case conn := <-i.conns:
		return conn, nil
	case <-i.closed:
		return nil, net.ErrClosed
	}
}

func (i *issuer) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	select {
	case <-i.closed:
	default:
		close(i.closed)
	}
	return nil
}

func (i *issuer) Addr() net.Addr { return &net.UnixAddr{Name: "issuer"} }

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.visits = append(i.visits, time.Now())
	answer := i.answer
	i.mu.Unlock()
	afterBody(answer)(w, r)
}

// becomes changes what the issuer answers.
func (i *issuer) becomes(answer http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.visits)
}

// times are when it was visited.
func (i *issuer) times() []time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.visits)
}

// transport is the one that is used in earnest, but that it connects to the
// issuer, whatever the address.
func (i *issuer) transport(t *testing.T) http.RoundTripper {
	transport := remoteTransport(nil)
	transport.Proxy = nil
	transport.DisableKeepAlives = true // no connection outlives the bubble
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case i.conns <- theirs:
			return ours, nil
		case <-i.closed:
			return nil, errors.New("connection refused")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// The answers an issuer may give.

func serves(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
}

func servesFor(cacheControl, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", cacheControl)
		serves(body)(w, r)
	}
}

func fails(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func redirects(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

// waits answers later, or not at all when the client goes first.
func waits(d time.Duration, then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			then(w, r)
		case <-r.Context().Done():
		}
	}
}

// drips sends a byte a second, without end.
func drips(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write([]byte(" ")); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		time.Sleep(time.Second)
	}
}

// floods sends without end.
func floods(w http.ResponseWriter, r *http.Request) {
	block := make([]byte, 64<<10)
	for i := range block {
		block[i] = ' '
	}
	for r.Context().Err() == nil {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}
