package xds

import (
	"context"
	"sync/atomic"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// errNotPrivate says why private keys are not sent. A port without TLS is open to
// every program of its machine, whoever runs it.
var errNotPrivate = status.Error(codes.PermissionDenied,
	"certificates and their keys are sent over a Unix socket or mTLS alone")

// private tells a connection that only those can have made who may have private
// keys: over a socket, which has a mode, or over TLS, which has certificates.
func private(ctx context.Context) bool {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return false
	}
	if tls, ok := p.AuthInfo.(credentials.TLSInfo); ok {
		return len(tls.State.VerifiedChains) > 0
	}
	return p.Addr != nil && p.Addr.Network() == "unix"
}

// privateDelta and privateWorld are streams that end where somebody asks for
// secrets who must not have them. go-control-plane drops the error of a stream,
// so that refused has it.
type privateDelta struct {
	discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	refused atomic.Bool
}

func (s *privateDelta) Recv() (*discoveryv3.DeltaDiscoveryRequest, error) {
	m, err := s.AggregatedDiscoveryService_DeltaAggregatedResourcesServer.Recv()
	if err == nil && m.GetTypeUrl() == resource.SecretType && !private(s.Context()) {
		s.refused.Store(true)
		return nil, errNotPrivate
	}
	return m, err
}

type privateWorld struct {
	discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer
	refused atomic.Bool
}

func (s *privateWorld) Recv() (*discoveryv3.DiscoveryRequest, error) {
	m, err := s.AggregatedDiscoveryService_StreamAggregatedResourcesServer.Recv()
	if err == nil && m.GetTypeUrl() == resource.SecretType && !private(s.Context()) {
		s.refused.Store(true)
		return nil, errNotPrivate
	}
	return m, err
}
