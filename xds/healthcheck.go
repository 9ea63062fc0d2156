package xds

import (
	"encoding/hex"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// healthChecks are the probes of a backend's endpoints: over the protocol, and the TLS,
// that requests take.
func healthChecks(backend *config.Backend) []*corev3.HealthCheck {
	h := backend.HealthCheck
	if h == nil {
		return nil
	}
	interval := h.Interval.Or(5 * time.Second)
	out := &corev3.HealthCheck{
		Interval:              durationpb.New(interval),
		IntervalJitter:        durationOrNil(h.Jitter),
		UnhealthyInterval:     durationOrNil(h.UnhealthyInterval),
		UnhealthyEdgeInterval: durationOrNil(h.EdgeInterval),
		HealthyEdgeInterval:   durationOrNil(h.EdgeInterval),
		NoTrafficInterval:     idleInterval(h, interval),
		Timeout:               durationpb.New(h.Timeout.Or(time.Second)),
		UnhealthyThreshold:    wrapperspb.UInt32(uint32(intOr(h.UnhealthyAfter, 3))),
		HealthyThreshold:      wrapperspb.UInt32(uint32(intOr(h.HealthyAfter, 2))),
	}
	switch {
	case h.GRPC != nil:
		out.HealthChecker = &corev3.HealthCheck_GrpcHealthCheck_{GrpcHealthCheck: &corev3.HealthCheck_GrpcHealthCheck{
			ServiceName: h.GRPC.Service, Authority: h.GRPC.Authority,
		}}
	case h.TCP != nil:
		out.HealthChecker = &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: tcpCheck(h.TCP)}
	default:
		out.HealthChecker = &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: httpCheck(backend, h)}
	}
	return []*corev3.HealthCheck{out}
}

// idleInterval is the interval while the backend has had no request. Envoy's own
// default, a minute, would leave a new endpoint without probes for as long as that.
func idleInterval(h *config.HealthCheck, interval time.Duration) *durationpb.Duration {
	return durationpb.New(h.IdleInterval.Or(interval))
}

func httpCheck(backend *config.Backend, h *config.HealthCheck) *corev3.HealthCheck_HttpHealthCheck {
	out := &corev3.HealthCheck_HttpHealthCheck{Path: h.Path, Host: h.Host, RequestHeadersToAdd: setHeaders(h.Headers), CodecClientType: codec(backend.Protocol)}
	for _, s := range h.Expect {
		out.ExpectedStatuses = append(out.ExpectedStatuses, &typev3.Int64Range{Start: int64(s.From), End: int64(s.To) + 1})
	}
	return out
}

func tcpCheck(t *config.TCPHealthCheck) *corev3.HealthCheck_TcpHealthCheck {
	out := &corev3.HealthCheck_TcpHealthCheck{}
	if t.Send != "" {
		out.Send = hexPayload(t.Send)
	}
	if t.Receive != "" {
		out.Receive = []*corev3.HealthCheck_Payload{hexPayload(t.Receive)}
	}
	return out
}

// hexPayload is a text as Envoy wants the bytes of a probe.
func hexPayload(text string) *corev3.HealthCheck_Payload {
	return &corev3.HealthCheck_Payload{Payload: &corev3.HealthCheck_Payload_Text{Text: hex.EncodeToString([]byte(text))}}
}
