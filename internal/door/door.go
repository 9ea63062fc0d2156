// Package door is what stands before the gRPC port: who may come in, as whom,
// and how much of one caller is borne.
//
// Whoever comes in can read the whole config, keys to backends included, and
// can have requests judged. So with TLS every caller shows a certificate of
// one CA, every call is checked for it again, and on wish an Envoy can only be
// the node that its certificate names. Without TLS the port must be one that
// no stranger reaches; that is up to who listens.
//
// A Unix socket has no TLS. The kernel asks for its file mode instead.
package door

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// Door guards one gRPC server, on any number of listeners.
type Door struct {
	settings Settings
	log      *slog.Logger
	now      func() time.Time

	// handshakeTime bounds a handshake.
	handshakeTime time.Duration
	// The rest is nil without TLS, which is what can refuse.
	refusals  *refusals
	handshake credentials.TransportCredentials

	registerer prometheus.Registerer

	// served is what handshakes are made with.
	served  atomic.Pointer[material]
	reloads *prometheus.CounterVec
}

// New reads the certificates, if any are set. A fault in them is an error; one
// that is out of its time is only warned of, since the Envoy that `run` starts
// needs none.
func New(s Settings, log *slog.Logger, reg prometheus.Registerer) (*Door, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	d := &Door{settings: s, log: log, now: time.Now, handshakeTime: handshakeTime, registerer: reg}
	if !s.TLS() {
		return d, nil
	}
	m, err := s.load()
	if err != nil {
		return nil, fmt.Errorf("reading the certificates for Envoys: %w", err)
	}
	if err := m.inTime(d.now()); err != nil {
		log.Warn("Envoys will refuse the certificate of the gRPC port", "cert", s.Cert, "error", err)
	}
	d.served.Store(m)
	d.refusals = newRefusals(log, reg)
	d.handshake = d.credentials()
	d.register(reg)
	return d, nil
}

func (d *Door) register(reg prometheus.Registerer) {
	d.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatewright_grpc_certificate_reloads_total",
		Help: "Changes of the gRPC port's certificate files, by result: applied, or invalid (the files before them stay).",
	}, []string{"result"})
	for _, result := range []string{"applied", "invalid"} {
		d.reloads.WithLabelValues(result)
	}
	reg.MustRegister(d.reloads, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gatewright_grpc_certificate_expiry_timestamp_seconds",
		Help: "When the certificate that the gRPC port shows expires.",
	}, func() float64 { return float64(d.served.Load().leaf.NotAfter.Unix()) }))
}

// serverOptions are what grpc-go is made with.
func (d *Door) serverOptions() []grpc.ServerOption {
	options := append(bounds(d.handshakeTime), speed()...)
	if !d.settings.TLS() {
		return options
	}
	g := guard{refusals: d.refusals, bindNodeID: d.settings.BindNodeID}
	return append(options,
		grpc.Creds(beforehand{insecure.NewCredentials()}),
		grpc.ChainUnaryInterceptor(g.unary),
		grpc.ChainStreamInterceptor(g.stream),
	)
}

// Run follows the certificate files until the context ends. Connections that
// are open stay; new ones are made with what was read last.
func (d *Door) Run(ctx context.Context) error {
	if !d.settings.TLS() {
		<-ctx.Done()
		return nil
	}
	return d.follow(ctx)
}
