package door_test

import (
	"fmt"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/gatewright/gatewright/internal/door"
)

// TestConnectionsAreOfTheirFirstCall: a client that makes only calls and sends access
// logs is served on a loop, one that begins with a stream of config by grpc-go, and each
// does what it wants.
func TestConnectionsAreOfTheirFirstCall(t *testing.T) {
	t.Parallel()
	ca, settings := withTLS(t)
	h := build(t, ca, settings)
	for range 3 {
		if err := check(soon(t), h.client(ca.Pair(edge))); err != nil {
			t.Fatal(err)
		}
	}
	logging := h.client(ca.Pair(edge))
	for range 2 {
		if err := accessLog(soon(t), logging, nil, nil); err != nil {
			t.Errorf("an access log: %v", err)
		}
		if err := check(soon(t), logging); err != nil {
			t.Errorf("a call on a connection of access logs: %v", err)
		}
	}
	streaming := h.client(ca.Pair(edge))
	if _, err := deltaFirst(soon(t), streaming, &corev3.Node{Id: "edge-7"}); err != nil {
		t.Fatal(err)
	}
	if err := check(soon(t), streaming); err != nil {
		t.Errorf("a call on a connection of streams: %v", err)
	}
	if err := accessLog(soon(t), streaming, nil); err != nil {
		t.Errorf("an access log on a connection of streams: %v", err)
	}
	h.expectConnections(4, 1)
	if log := h.log.String(); log != "" {
		t.Errorf("log:\n%s", log)
	}
}

// TestClientsThatMix: one connection for all works too; the client is told once,
// in the log, what would be better.
func TestClientsThatMix(t *testing.T) {
	t.Parallel()
	h := build(t, nil, door.Settings{})
	conn := h.local()
	for range 3 {
		if err := check(soon(t), conn); err != nil {
			t.Fatal(err)
		}
		if err := accessLog(soon(t), conn, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := deltaFirst(soon(t), conn, &corev3.Node{Id: "edge-7"}); err != nil {
			t.Fatal(err)
		}
	}
	h.expectConnections(0, 1)
	if n := strings.Count(h.log.String(), "a client makes calls of all kinds"); n != 1 {
		t.Errorf("told %d times, want once:\n%s", n, h.log)
	}
}

// expectConnections waits for these many connections of calls and of all.
func (h *house) expectConnections(calls, all int) {
	h.t.Helper()
	eventually(h.t, "the connections are of calls and of all as wanted", func() error {
		return h.expectMetric("gatewright_grpc_connections", fmt.Sprintf(`
			# HELP gatewright_grpc_connections Connections of the gRPC port, by what they carry: calls (Check, ShouldRateLimit and access logs, served at the least price) or all.
			# TYPE gatewright_grpc_connections gauge
			gatewright_grpc_connections{carries="all"} %d
			gatewright_grpc_connections{carries="calls"} %d
			`, all, calls))
	})
}
