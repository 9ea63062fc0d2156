package testenv

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	rlsconfv3 "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

// EnvoyGatewayNode is the node for which Envoy Gateway has rate limits.
const EnvoyGatewayNode = "envoy-ratelimit"

// EnvoyGateway is the xDS server by which Envoy Gateway configures envoyproxy/ratelimit. It
// is made as that one is (envoyproxy/gateway at d32f282,
// internal/globalratelimit/runner/runner.go): go-control-plane's snapshot cache, behind the
// aggregated stream alone, versions that count from 1, and TLS.
type EnvoyGateway struct {
	// Addr is host:port.
	Addr string

	t       testing.TB
	cache   cachev3.SnapshotCache
	version int
	server  *grpc.Server

	mu       sync.Mutex // guards the rest
	requests []*discoveryv3.DiscoveryRequest
	sent     int
}

// StartEnvoyGateway starts the server at an address, which may be that of one that was
// stopped. secret is the folder of its certificate (see EnvoyGatewaySecrets); empty: it has
// no TLS.
func StartEnvoyGateway(t testing.TB, addr, secret string) *EnvoyGateway {
	t.Helper()
	var o []grpc.ServerOption
	if secret != "" {
		o = append(o, grpc.Creds(credentials.NewTLS(envoyGatewayTLS(t, secret))))
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	g := &EnvoyGateway{Addr: l.Addr().String(), t: t, cache: cachev3.NewSnapshotCache(false, cachev3.IDHash{}, nil), server: grpc.NewServer(o...)}
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g.server, serverv3.NewServer(t.Context(), g.cache, serverv3.CallbackFuncs{
		StreamRequestFunc: func(_ int64, r *discoveryv3.DiscoveryRequest) error {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.requests = append(g.requests, proto.Clone(r).(*discoveryv3.DiscoveryRequest))
			return nil
		},
		StreamResponseFunc: func(context.Context, int64, *discoveryv3.DiscoveryRequest, *discoveryv3.DiscoveryResponse) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.sent++
		},
	}))
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.server.Serve(l) })
	t.Cleanup(func() { g.server.Stop(); serving.Wait() })
	return g
}

// Stop ends the server and its streams.
func (g *EnvoyGateway) Stop() { g.server.Stop() }

// Set serves resources, and nothing but them.
func (g *EnvoyGateway) Set(all ...*rlsconfv3.RateLimitConfig) {
	g.t.Helper()
	g.version++
	of := make([]types.Resource, len(all))
	for i, c := range all {
		of[i] = c
	}
	snapshot, err := cachev3.NewSnapshot(strconv.Itoa(g.version), map[string][]types.Resource{resource.RateLimitConfigType: of})
	if err == nil {
		err = g.cache.SetSnapshot(g.t.Context(), EnvoyGatewayNode, snapshot)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// Requests are all so far that pass, and how many responses were sent.
func (g *EnvoyGateway) Requests(pass func(*discoveryv3.DiscoveryRequest) bool) (out []*discoveryv3.DiscoveryRequest, sent int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.requests {
		if pass(r) {
			out = append(out, r)
		}
	}
	return out, g.sent
}

// RateLimitConfigs are the resources of a YAML file.
func RateLimitConfigs(t testing.TB, path string) []*rlsconfv3.RateLimitConfig {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var each []any
	if err := yaml.Unmarshal(text, &each); err != nil {
		t.Fatal(err)
	}
	out := make([]*rlsconfv3.RateLimitConfig, len(each))
	for i, one := range each {
		text, err := yaml.Marshal(one)
		if err == nil {
			text, err = yaml.YAMLToJSON(text)
		}
		out[i] = &rlsconfv3.RateLimitConfig{}
		if err == nil {
			err = protojson.Unmarshal(text, out[i])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// Secrets are folders as the Secrets of Envoy Gateway are mounted: ca.crt, tls.crt, tls.key.
type Secrets struct {
	Gateway   string // envoy-gateway
	RateLimit string // envoy-rate-limit
	Envoy     string // envoy
}

// EnvoyGatewaySecrets makes them as internal/crypto/certgen.go of envoyproxy/gateway does, at
// d32f282: all of one authority, RSA, without an extended key usage; with the names of the
// control plane in the first, and a wildcard in the others.
func EnvoyGatewaySecrets(t testing.TB) Secrets {
	t.Helper()
	ca := &x509.Certificate{
		Subject: pkix.Name{CommonName: "envoy-gateway"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	caKey := rsaKey(t)
	authority := signed(t, ca, ca, caKey, caKey)
	secret := func(commonName string, names ...string) string {
		key := rsaKey(t)
		leaf := signed(t, &x509.Certificate{
			Subject: pkix.Name{CommonName: commonName}, DNSNames: names,
			KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageDataEncipherment | x509.KeyUsageKeyEncipherment | x509.KeyUsageContentCommitment,
		}, ca, key, caKey)
		folder := t.TempDir()
		for name, block := range map[string]*pem.Block{
			"ca.crt":  {Type: "CERTIFICATE", Bytes: authority},
			"tls.crt": {Type: "CERTIFICATE", Bytes: leaf},
			"tls.key": {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)},
		} {
			if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return folder
	}
	return Secrets{
		Gateway: secret("envoy-gateway", "envoy-gateway", "envoy-gateway.envoy-gateway-system",
			"envoy-gateway.envoy-gateway-system.svc", "envoy-gateway.envoy-gateway-system.svc.cluster.local"),
		RateLimit: secret("*", "*.envoy-gateway-system"),
		Envoy:     secret("*", "*.envoy-gateway-system"),
	}
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signed(t testing.TB, template, parent *x509.Certificate, key, by *rsa.PrivateKey) []byte {
	t.Helper()
	now := time.Now()
	template.NotBefore, template.NotAfter = now.AddDate(0, 0, -1), now.AddDate(5, 0, 0)
	template.SerialNumber = big.NewInt(now.UnixNano())
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func envoyGatewayTLS(t testing.TB, secret string) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(secret, "tls.crt"), filepath.Join(secret, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(secret, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca)
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MinVersion: tls.VersionTLS13,
	}
}
