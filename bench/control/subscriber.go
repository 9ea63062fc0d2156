package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// subscriber speaks incremental ADS as Envoy does, on a connection of its own,
// and keeps nothing: it subscribes to all clusters and listeners, and then to
// what those refer to, and accepts everything. Hundreds of real Envoys would not fit
// the machine.
type subscriber struct {
	node   string
	conn   *grpc.ClientConn
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	cancel context.CancelFunc
	// complete is closed when it has all that it has subscribed to.
	complete chan struct{}
	ended    chan error // why the stream ended
	// changes is the number of the newest change (changing.next) that it has seen.
	changes atomic.Int64
	// missing are the tables and endpoints that have not come yet, until whole.
	missing map[string]bool
	whole   bool
}

// subscribe connects one, and returns when it has everything.
func subscribe(ctx context.Context, addr, node string) (*subscriber, error) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		return nil, fmt.Errorf("connecting %s: %w", node, err)
	}
	streamCtx, cancel := context.WithCancel(ctx)
	s := &subscriber{
		node: node, conn: conn, cancel: cancel,
		complete: make(chan struct{}), ended: make(chan error, 1), missing: map[string]bool{},
	}
	if s.stream, err = discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(streamCtx); err != nil {
		cancel()
		return nil, errors.Join(fmt.Errorf("connecting %s: %w", node, err), conn.Close())
	}
	go func() { s.ended <- s.serve() }()
	patient, done := context.WithTimeout(ctx, startPatience)
	defer done()
	select {
	case <-s.complete:
		return s, nil
	case err := <-s.ended:
		s.ended <- err
		return nil, errors.Join(fmt.Errorf("%s: the stream ended: %w", node, err), s.close())
	case <-patient.Done():
		return nil, errors.Join(fmt.Errorf("%s: waiting for its config: %w", node, patient.Err()), s.close())
	}
}

// close leaves, and waits until the stream has ended.
func (s *subscriber) close() error {
	s.cancel()
	<-s.ended
	return s.conn.Close()
}

func (s *subscriber) serve() error {
	for _, t := range []string{resource.ClusterType, resource.ListenerType} {
		if err := s.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: t}); err != nil {
			return err
		}
	}
	for {
		m, err := s.stream.Recv()
		if err != nil {
			return err
		}
		if err := s.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: m.GetTypeUrl(), ResponseNonce: m.GetNonce()}); err != nil {
			return err
		}
		if err := s.follow(m); err != nil {
			return err
		}
		s.note(m)
	}
}

// note takes down what has come.
func (s *subscriber) note(m *discoveryv3.DeltaDiscoveryResponse) {
	for _, r := range m.GetResources() {
		delete(s.missing, m.GetTypeUrl()+r.GetName())
		for _, found := range changeMark.FindAllSubmatch(r.GetResource().GetValue(), -1) {
			if n, err := strconv.ParseInt(string(found[1]), 10, 64); err == nil {
				s.changes.Store(max(n, s.changes.Load()))
			}
		}
	}
	if !s.whole && m.GetTypeUrl() == resource.RouteType && len(s.missing) == 0 {
		s.whole = true
		close(s.complete)
	}
}

// changeMark is what changing.next writes into a table.
var changeMark = regexp.MustCompile(`after change ([0-9]+)`)

// awaitChange waits until it has been told of a change.
func (s *subscriber) awaitChange(ctx context.Context, n int) error {
	for s.changes.Load() < int64(n) {
		select {
		case err := <-s.ended:
			s.ended <- err
			return fmt.Errorf("%s: the stream ended: %w", s.node, err)
		case <-ctx.Done():
			return fmt.Errorf("%s: waiting for change %d: %w", s.node, n, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// follow subscribes to what a response refers to.
func (s *subscriber) follow(m *discoveryv3.DeltaDiscoveryResponse) error {
	wanted := map[string][]string{}
	for _, r := range m.GetResources() {
		t, name, err := referred(m.GetTypeUrl(), r)
		if err != nil {
			return err
		}
		switch {
		case t == "":
		case name == everything:
			wanted[t] = nil
		default:
			wanted[t] = append(wanted[t], name)
			s.missing[t+name] = true
		}
	}
	for t, names := range wanted {
		if err := s.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: t, ResourceNamesSubscribe: names}); err != nil {
			return err
		}
	}
	return nil
}

// everything stands for all resources of a type: a subscription without names.
const everything = ""

// referred is what a resource refers to: its type, which may be none, and name.
func referred(typeURL string, r *discoveryv3.Resource) (of, name string, err error) {
	switch typeURL {
	case resource.ClusterType:
		c := &clusterv3.Cluster{}
		if err := r.GetResource().UnmarshalTo(c); err != nil || c.GetEdsClusterConfig() == nil {
			return "", "", err
		}
		return resource.EndpointType, c.GetEdsClusterConfig().GetServiceName(), nil
	case resource.ScopedRouteType:
		scope := &routev3.ScopedRouteConfiguration{}
		if err := r.GetResource().UnmarshalTo(scope); err != nil {
			return "", "", err
		}
		return resource.RouteType, scope.GetRouteConfigurationName(), nil
	case resource.ListenerType:
		l, manager := &listenerv3.Listener{}, &hcmv3.HttpConnectionManager{}
		if err := r.GetResource().UnmarshalTo(l); err != nil {
			return "", "", err
		}
		if err := l.GetFilterChains()[0].GetFilters()[0].GetTypedConfig().UnmarshalTo(manager); err != nil {
			return "", "", err
		}
		if manager.GetScopedRoutes() != nil {
			return resource.ScopedRouteType, everything, nil
		}
		return resource.RouteType, manager.GetRds().GetRouteConfigName(), nil
	}
	return "", "", nil
}

func (s *subscriber) send(m *discoveryv3.DeltaDiscoveryRequest) error {
	m.Node = &corev3.Node{Id: s.node}
	return s.stream.Send(m)
}
