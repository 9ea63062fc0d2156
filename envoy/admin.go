package envoy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// adminPoll is how often Envoy is asked while something is waited for.
const adminPoll = 25 * time.Millisecond

// Admin speaks to Envoy's admin interface on a Unix socket, where only the
// user who runs Envoy can reach it.
// https://www.envoyproxy.io/docs/envoy/latest/operations/admin
type Admin struct{ client *http.Client }

// NewAdmin returns the admin interface at a socket, which need not exist yet.
func NewAdmin(socket string) *Admin {
	return &Admin{client: &http.Client{
		Timeout: 2 * time.Second,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", socket)
			},
		},
	}}
}

// Ready returns nil when Envoy is live: it has its first config.
func (a *Admin) Ready(ctx context.Context) error {
	_, err := a.do(ctx, http.MethodGet, "/ready")
	return err
}

// WaitReady returns nil as soon as Envoy is live, or the context's error.
func (a *Admin) WaitReady(ctx context.Context) error {
	return a.poll(ctx, func() bool { return a.Ready(ctx) == nil })
}

// quiet is how long no request may be under way before Envoy is taken for drained: a
// client that has just had its answer may be about to send the next one.
const quiet = 200 * time.Millisecond

// Drain has Envoy tell its clients to leave: by "Connection: close" and GOAWAY with
// each answer from now on. After a delay it takes no connection any more, and Drain
// waits until no request is under way. The delay is for those who send clients here:
// until they have noticed that the gateway is not ready, new connections are served.
func (a *Admin) Drain(ctx context.Context, delay time.Duration) error {
	if _, err := a.do(ctx, http.MethodPost, "/healthcheck/fail"); err != nil {
		return fmt.Errorf("draining Envoy: %w", err)
	}
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return fmt.Errorf("draining Envoy: %w", ctx.Err())
	}
	if _, err := a.do(ctx, http.MethodPost, "/drain_listeners"); err != nil {
		return fmt.Errorf("draining Envoy: %w", err)
	}
	var since time.Time // when the last request was gone; zero while there is one
	return a.poll(ctx, func() bool {
		n, err := a.activeRequests(ctx)
		if err != nil || n > 0 {
			since = time.Time{}
			return false
		}
		if since.IsZero() {
			since = time.Now()
		}
		return time.Since(since) >= quiet
	})
}

// activeRequests is the number of requests in flight on all listeners.
func (a *Admin) activeRequests(ctx context.Context) (int, error) {
	// Not those of the admin interface, of which this is one.
	body, err := a.do(ctx, http.MethodGet, `/stats?filter=^http\..*\.downstream_rq_active$`)
	if err != nil {
		return 0, err
	}
	total := 0
	for line := range strings.Lines(body) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if strings.HasPrefix(name, "http.admin.") {
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return 0, fmt.Errorf("reading Envoy's stat %q: %w", line, err)
		}
		total += n
	}
	return total, nil
}

func (a *Admin) poll(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(adminPoll)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (a *Admin) do(ctx context.Context, method, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://envoy"+path, nil)
	if err != nil {
		return "", fmt.Errorf("asking Envoy %s: %w", path, err)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("asking Envoy %s: %w", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", fmt.Errorf("reading Envoy's answer to %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("asking Envoy %s: status %d", path, resp.StatusCode)
	}
	return string(body), nil
}
