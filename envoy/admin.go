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

// Drain stops Envoy from taking connections, has it tell its clients to leave,
// and waits until no request is in flight.
func (a *Admin) Drain(ctx context.Context) error {
	for _, path := range []string{"/healthcheck/fail", "/drain_listeners"} {
		if _, err := a.do(ctx, http.MethodPost, path); err != nil {
			return fmt.Errorf("draining Envoy: %w", err)
		}
	}
	return a.poll(ctx, func() bool {
		n, err := a.activeRequests(ctx)
		return err == nil && n == 0
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
