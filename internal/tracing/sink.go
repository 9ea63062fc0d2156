package tracing

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/pki"
)

// newSink is what sends spans to the backend that takes them: by gRPC where it speaks
// that, and else by HTTP. A batch that is not taken is not sent again: those behind it
// would wait, and be dropped.
func newSink(w *wanted) (sdktrace.SpanExporter, error) {
	to := &dialer{backend: &w.backend}
	if w.backend.Protocol == config.ProtocolGRPC {
		return otlptracegrpc.New(context.Background(),
			otlptracegrpc.WithEndpoint(to.host()), otlptracegrpc.WithInsecure(), // dial has TLS in it
			otlptracegrpc.WithTimeout(sendTimeout),
			otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{}),
			otlptracegrpc.WithDialOption(
				grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return to.dial(ctx) }),
				grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithNoProxy(),
			),
		)
	}
	transport := &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return to.dial(ctx) },
		MaxIdleConns:    2,
		IdleConnTimeout: time.Minute,
		Protocols:       &http.Protocols{},
	}
	transport.Protocols.SetHTTP1(!w.backend.SpeaksHTTP2())
	transport.Protocols.SetUnencryptedHTTP2(w.backend.SpeaksHTTP2())
	return otlptracehttp.New(context.Background(),
		otlptracehttp.WithEndpoint(to.host()), otlptracehttp.WithInsecure(),
		otlptracehttp.WithURLPath(cmp.Or(w.tracing.OTLP.Path, "/v1/traces")),
		otlptracehttp.WithTimeout(sendTimeout),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}),
		otlptracehttp.WithHTTPClient(&http.Client{Transport: transport, Timeout: sendTimeout}),
	)
}

// dialer connects to a backend as Envoys do: to one endpoint after the other, by the
// backend's TLS. The files of that are read for each connection, so that what has
// changed in them counts from the next one on.
type dialer struct {
	backend *config.Backend
	next    atomic.Uint32
}

// host is by which name the backend is asked.
func (d *dialer) host() string {
	if t := d.backend.TLS; t != nil && t.ServerName != "" {
		return t.ServerName
	}
	return d.backend.Endpoints[0].Address
}

func (d *dialer) dial(ctx context.Context) (net.Conn, error) {
	endpoints := d.backend.Endpoints
	first := int(d.next.Add(1))
	var errs []error
	for i := range endpoints {
		conn, err := d.dialOne(ctx, endpoints[(first+i)%len(endpoints)].Address)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// dialTimeout bounds one connection, so that there is time for the next endpoint.
const dialTimeout = 2 * time.Second

func (d *dialer) dialOne(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil || d.backend.TLS == nil {
		return conn, err
	}
	settings, err := d.tls(address)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	secure := tls.Client(conn, settings)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}

// tls is as xds.upstreamTLS has it for Envoys.
func (d *dialer) tls(address string) (*tls.Config, error) {
	t := d.backend.TLS
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	out := &tls.Config{ServerName: cmp.Or(t.ServerName, host), MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if t.MinVersion == "1.3" {
		out.MinVersion = tls.VersionTLS13
	}
	if d.backend.SpeaksHTTP2() {
		out.NextProtos = []string{"h2"}
	}
	if t.CA != "" {
		authorities, problem := pki.ReadAuthorities(t.CA, "", time.Now())
		if problem != nil {
			return nil, problem
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(authorities.CA) {
			return nil, fmt.Errorf("%s: no authority in it", t.CA)
		}
	}
	if c := t.Certificate; c != nil {
		shown, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, err
		}
		out.Certificates = []tls.Certificate{shown}
	}
	return out, nil
}
