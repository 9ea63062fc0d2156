package door_test

import (
	"context"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/gatewright/gatewright/internal/door"
)

// TestGiantMessages, a byte more than the bound and many more, are refused on
// calls and streams, and others are served on the same connection.
func TestGiantMessages(t *testing.T) {
	t.Parallel()
	ca, settings := withTLS(t)
	h := build(t, ca, settings)
	conn := h.client(ca.Pair(edge))
	for name, size := range map[string]int{"a byte": 64<<20 + 1, "much": 65 << 20} {
		giant := strings.Repeat("x", size)
		_, err := authv3.NewAuthorizationClient(conn).Check(soon(t), &authv3.CheckRequest{
			Attributes: &authv3.AttributeContext{ContextExtensions: map[string]string{"route": giant}},
		})
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%s: a call: %v, want ResourceExhausted", name, err)
		}
		s, err := deltaFirst(soon(t), conn, &corev3.Node{Id: "edge-7"})
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.ClusterType, ResourceNamesSubscribe: []string{giant}})
		if _, err := s.Recv(); err == nil {
			t.Errorf("%s: a stream goes on", name)
		}
		if err := check(soon(t), conn); err != nil {
			t.Errorf("%s: afterwards: %v", name, err)
		}
	}
}

// TestHeaderBomb: headers beyond the bound end the call and nothing else, with
// TLS and without.
func TestHeaderBomb(t *testing.T) {
	t.Parallel()
	ca, settings := withTLS(t)
	secured, plain := build(t, ca, settings), build(t, nil, door.Settings{})
	for name, h := range map[string]*house{"mTLS": secured, "a socket": plain} {
		conn := h.local()
		if name == "mTLS" {
			conn = h.client(ca.Pair(edge))
		}
		bomb := metadata.Pairs("x-bomb", strings.Repeat("x", 80<<10))
		for range 40 {
			bomb.Append("x-small", strings.Repeat("y", 2<<10))
		}
		if err := check(metadata.NewOutgoingContext(soon(t), bomb), conn); err == nil {
			t.Errorf("%s: it was served", name)
		}
		if err := check(soon(t), conn); err != nil {
			t.Errorf("%s: afterwards: %v", name, err)
		}
	}
}

// TestStreamsAtOnce: what one connection has too many of waits, and is served
// when there is room.
func TestStreamsAtOnce(t *testing.T) {
	t.Parallel()
	h := build(t, nil, door.Settings{})
	conn := h.local()
	ctx, cancel := context.WithCancel(soon(t))
	for range 1024 {
		if _, err := deltaFirst(ctx, conn, &corev3.Node{Id: "edge-7"}); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- check(soon(t), conn) }()
	if err := check(soon(t), h.local()); err != nil {
		t.Errorf("on another connection: %v", err)
	}
	select {
	case err := <-done:
		t.Errorf("one more on this connection did not wait: %v", err)
	default:
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("when there is room: %v", err)
	}
}
