package door_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/gatewright/gatewright/internal/testenv"
)

// sender sends messages with these nodes on one stream, and returns what became of it.
// nil is a message without a node.
type sender func(context.Context, *grpc.ClientConn, ...*corev3.Node) error

// streams are all that carry a node.
var streams = map[string]sender{
	"incremental": func(ctx context.Context, conn *grpc.ClientConn, nodes ...*corev3.Node) error {
		s, err := deltaFirst(ctx, conn, nodes[0])
		if err != nil {
			return err
		}
		for _, n := range nodes[1:] {
			// To unsubscribe and subscribe again is answered with the resource.
			_ = s.Send(&discoveryv3.DeltaDiscoveryRequest{Node: n, TypeUrl: resource.ClusterType,
				ResourceNamesUnsubscribe: []string{"app"}, ResourceNamesSubscribe: []string{"app"}})
			if err := answered(s); err != nil {
				return err
			}
		}
		return nil
	},
	"state of the world": sotwFirst,
	"access log": func(ctx context.Context, conn *grpc.ClientConn, nodes ...*corev3.Node) error {
		var ids []*accesslogv3.StreamAccessLogsMessage_Identifier
		for _, n := range nodes {
			if n == nil {
				ids = append(ids, nil)
				continue
			}
			ids = append(ids, &accesslogv3.StreamAccessLogsMessage_Identifier{Node: n, LogName: "requests"})
		}
		return accessLog(ctx, conn, ids...)
	},
}

// sotwFirst sends requests of the older variant and waits for the answer to
// the first.
func sotwFirst(ctx context.Context, conn *grpc.ClientConn, nodes ...*corev3.Node) error {
	s, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		return err
	}
	nonce := ""
	for i, n := range nodes {
		_ = s.Send(&discoveryv3.DiscoveryRequest{Node: n, TypeUrl: resource.ClusterType,
			ResourceNames: []string{fmt.Sprintf("app-%d", i), "app"}, ResponseNonce: nonce})
		m, err := s.Recv()
		if err != nil {
			return err
		}
		nonce = m.GetNonce()
	}
	return nil
}

// TestNodeIsNamedByTheCertificate, on every stream that says which Envoy
// speaks: on connections that carry these streams alone, as Envoy's, and on those that
// carry others before them, which are grpc-go's.
func TestNodeIsNamedByTheCertificate(t *testing.T) {
	t.Parallel()
	for kind, send := range streams {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			nodesAreNamed(t, send, false)
		})
		t.Run(kind+" behind config", func(t *testing.T) {
			t.Parallel()
			nodesAreNamed(t, send, true)
		})
	}
}

func nodesAreNamed(t *testing.T, send sender, behindConfig bool) {
	const workload = "spiffe://example.org/ns/edge/sa/envoy"
	ca, settings := withTLS(t)
	settings.BindNodeID = true
	h := build(t, ca, settings)
	conn := h.client(ca.Pair(testenv.Leaf{DNS: []string{"edge-7", "edge-8", "*.wild.internal"}, URIs: []string{workload}}))
	unnamed := h.client(ca.Pair(testenv.Leaf{}))
	node := func(id string) *corev3.Node { return &corev3.Node{Id: id} }
	if behindConfig {
		for _, c := range []*grpc.ClientConn{conn, unnamed} {
			_, _ = deltaFirst(soon(t), c, node("edge-7")) // which is refused to one of them
		}
	}
	for name, c := range map[string]struct {
		conn   *grpc.ClientConn
		nodes  []*corev3.Node
		reason string // of the refusal; "" is none
	}{
		"a DNS name":                       {conn, []*corev3.Node{node("edge-7")}, ""},
		"another DNS name":                 {conn, []*corev3.Node{node("edge-8")}, ""},
		"a SPIFFE ID":                      {conn, []*corev3.Node{node(workload)}, ""},
		"named once":                       {conn, []*corev3.Node{node("edge-7"), nil, nil}, ""},
		"named each time":                  {conn, []*corev3.Node{node("edge-7"), node("edge-7")}, ""},
		"of somebody else":                 {conn, []*corev3.Node{node("edge-9")}, "node-not-in-cert"},
		"in other letters":                 {conn, []*corev3.Node{node("EDGE-7")}, "node-not-in-cert"},
		"a beginning":                      {conn, []*corev3.Node{node("edge")}, "node-not-in-cert"},
		"what a wildcard covers":           {conn, []*corev3.Node{node("a.wild.internal")}, "node-not-in-cert"},
		"the trust domain only":            {conn, []*corev3.Node{node("spiffe://example.org")}, "node-not-in-cert"},
		"a certificate without names":      {unnamed, []*corev3.Node{node("edge-7")}, "node-not-in-cert"},
		"none":                             {conn, []*corev3.Node{nil}, "node-missing"},
		"without an id":                    {conn, []*corev3.Node{node("")}, "node-missing"},
		"without an id and without names":  {unnamed, []*corev3.Node{node("")}, "node-missing"},
		"changed midway":                   {conn, []*corev3.Node{node("edge-7"), node("edge-9")}, "node-changed"},
		"changed to one of its own":        {conn, []*corev3.Node{node("edge-7"), node("edge-8")}, "node-changed"},
		"changed to nothing":               {conn, []*corev3.Node{node("edge-7"), node("")}, "node-changed"},
		"changed after one without a node": {conn, []*corev3.Node{node("edge-7"), nil, node("edge-9")}, "node-changed"},
		"very long":                        {conn, []*corev3.Node{node(strings.Repeat("x\n", 1<<20))}, "node-not-in-cert"},
	} {
		t.Run(name, func(t *testing.T) {
			var before float64
			if c.reason != "" {
				before = h.refused(c.reason)
			}
			err := send(soon(t), c.conn, c.nodes...)
			switch {
			case c.reason == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.reason == "":
			case status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "node.id"):
				t.Errorf("got %v, want PermissionDenied and why", err)
			case len(err.Error()) > 2000:
				t.Errorf("the error has %d bytes", len(err.Error()))
			case h.refused(c.reason) != before+1:
				t.Errorf("%v were counted, want one more than %v", h.refused(c.reason), before)
			}
		})
	}
	for name, conn := range map[string]*grpc.ClientConn{"unnamed": unnamed, "named": conn} {
		if err := check(soon(t), conn); err != nil {
			t.Errorf("%s: a call that names no node: %v", name, err)
		}
	}
	for line := range strings.Lines(h.log.String()) {
		if len(line) > 2000 {
			t.Errorf("a line of the log has %d bytes", len(line))
		}
	}
}

// TestNodesOnASocketAreFree: whoever may open the socket is this user.
func TestNodesOnASocketAreFree(t *testing.T) {
	t.Parallel()
	ca, settings := withTLS(t)
	settings.BindNodeID = true
	h := build(t, ca, settings)
	for kind, send := range streams {
		if err := send(soon(t), h.local(), &corev3.Node{Id: "gatewright"}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestNodesAreFreeUnlessBound: without the setting a certificate is enough.
func TestNodesAreFreeUnlessBound(t *testing.T) {
	t.Parallel()
	ca, settings := withTLS(t)
	h := build(t, ca, settings)
	for kind, send := range streams {
		if err := send(soon(t), h.client(ca.Pair(testenv.Leaf{})), &corev3.Node{Id: "any"}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
