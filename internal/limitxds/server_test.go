package limitxds

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	rlsconfv3 "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/gatewright/gatewright/internal/limitfiles"
)

// node is the one for which Envoy Gateway has resources.
const node = "envoy-ratelimit"

// server serves as Envoy Gateway does (envoyproxy/gateway at d32f282,
// internal/globalratelimit/runner/runner.go): go-control-plane's snapshot cache, not
// ordered, behind the aggregated stream alone, and versions that count from 1.
type server struct {
	t       testing.TB
	addr    string
	cache   cachev3.SnapshotCache
	version int
	grpc    *grpc.Server

	mu       sync.Mutex // guards the rest
	requests []*discoveryv3.DiscoveryRequest
	sent     int
}

// serve starts a server at an address, which may be that of one that was stopped.
func serve(t testing.TB, addr string, o ...grpc.ServerOption) *server {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, addr: l.Addr().String(), cache: cachev3.NewSnapshotCache(false, cachev3.IDHash{}, nil), grpc: grpc.NewServer(o...)}
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(s.grpc, serverv3.NewServer(t.Context(), s.cache, serverv3.CallbackFuncs{
		StreamRequestFunc: func(_ int64, r *discoveryv3.DiscoveryRequest) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.requests = append(s.requests, proto.Clone(r).(*discoveryv3.DiscoveryRequest))
			return nil
		},
		StreamResponseFunc: func(context.Context, int64, *discoveryv3.DiscoveryRequest, *discoveryv3.DiscoveryResponse) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.sent++
		},
	}))
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.grpc.Serve(l) })
	t.Cleanup(func() { s.grpc.Stop(); serving.Wait() })
	return s
}

// set serves resources.
func (s *server) set(all ...*rlsconfv3.RateLimitConfig) {
	s.t.Helper()
	s.version++
	of := make([]types.Resource, len(all))
	for i, c := range all {
		of[i] = c
	}
	snapshot, err := cachev3.NewSnapshot(strconv.Itoa(s.version), map[string][]types.Resource{typeURL: of})
	if err == nil {
		err = s.cache.SetSnapshot(s.t.Context(), node, snapshot)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// said are the requests so far that pass, and how many responses were sent.
func (s *server) said(pass func(*discoveryv3.DiscoveryRequest) bool) (out []*discoveryv3.DiscoveryRequest, sent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if pass(r) {
			out = append(out, r)
		}
	}
	return out, s.sent
}

func isNACK(r *discoveryv3.DiscoveryRequest) bool { return r.GetErrorDetail() != nil }

// accepts waits until a version is accepted.
func (s *server) accepts(version string) {
	s.t.Helper()
	eventually(s.t, "version "+version+" is accepted", func() bool {
		got, _ := s.said(func(r *discoveryv3.DiscoveryRequest) bool {
			return r.GetVersionInfo() == version && r.GetResponseNonce() != "" && !isNACK(r)
		})
		return len(got) > 0
	})
}

// follower is a Client that follows, and what it serves.
type follower struct {
	*Client
	t testing.TB

	mu    sync.Mutex // guards the rest
	table *limitfiles.Table
	err   error // of what was taken last
	taken int
}

func options(t testing.TB, s *server) Options {
	return Options{
		Settings: Settings{Server: s.addr, NodeID: node},
		Log:      slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	}
}

// follow starts a client, which change may change before.
func follow(t testing.TB, o Options, change ...func(*Client)) *follower {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{Client: c, t: t}
	c.longestPause = 2 * firstPause / 5
	for _, one := range change {
		one(c)
	}
	if err := c.Restore(f.take); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { _ = c.Follow(ctx, f.take) })
	t.Cleanup(func() { cancel(); following.Wait() })
	return f
}

func (f *follower) take(table *limitfiles.Table, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken++
	if f.err = err; err == nil {
		f.table = table
	}
	return err
}

// limit is the limit of a descriptor: 0 where there is none.
func (f *follower) limit(domain string, entries ...string) uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if rule := limitfiles.Find(f.table, domain, pairs(entries)); rule != nil {
		return rule.Requests
	}
	return 0
}

func (f *follower) fault() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		return ""
	}
	return f.err.Error()
}

// has waits until a descriptor has a limit.
func (f *follower) has(want uint32, domain string, entries ...string) {
	f.t.Helper()
	eventually(f.t, fmt.Sprintf("%v of %s has the limit %d", entries, domain, want), func() bool { return f.limit(domain, entries...) == want })
}

type entry struct{ key, value string }

func (e entry) GetKey() string   { return e.key }
func (e entry) GetValue() string { return e.value }

// pairs are entries of keys and values.
func pairs(of []string) (out []entry) {
	for two := range slices.Chunk(of, 2) {
		out = append(out, entry{two[0], two[1]})
	}
	return out
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// fromFile are the resources of a file.
func fromFile(t testing.TB, path string) []*rlsconfv3.RateLimitConfig {
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

// of is a domain with a limit for one key, in a resource of the same name.
func of(domain, key string, requests uint32) *rlsconfv3.RateLimitConfig {
	return &rlsconfv3.RateLimitConfig{Name: domain, Domain: domain, Descriptors: []*rlsconfv3.RateLimitDescriptor{{
		Key: key, RateLimit: &rlsconfv3.RateLimitPolicy{Unit: rlsconfv3.RateLimitUnit_HOUR, RequestsPerUnit: requests},
	}}}
}

// certificates are the two that Envoy Gateway makes for these two ends, with their
// authority, in folders as their Secrets are mounted (internal/crypto/certgen.go): RSA,
// no extended key usage, names of the control plane for one and a wildcard for the other.
func certificates(t testing.TB) (gateway, limits string) {
	t.Helper()
	key := func() *rsa.PrivateKey {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	now := time.Now()
	made := func(template, parent *x509.Certificate, of, by *rsa.PrivateKey) []byte {
		template.NotBefore, template.NotAfter = now.AddDate(0, 0, -1), now.AddDate(5, 0, 0)
		template.SerialNumber = big.NewInt(int64(now.Nanosecond()) + 1)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &of.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	caKey := key()
	ca := &x509.Certificate{
		Subject: pkix.Name{CommonName: "envoy-gateway"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	authority := made(ca, ca, caKey, caKey)
	folder := func(commonName string, names ...string) string {
		k, dir := key(), t.TempDir()
		der := made(&x509.Certificate{
			Subject: pkix.Name{CommonName: commonName}, DNSNames: names,
			KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageDataEncipherment | x509.KeyUsageKeyEncipherment | x509.KeyUsageContentCommitment,
		}, ca, k, caKey)
		for name, block := range map[string]*pem.Block{
			"ca.crt":  {Type: "CERTIFICATE", Bytes: authority},
			"tls.crt": {Type: "CERTIFICATE", Bytes: der},
			"tls.key": {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)},
		} {
			if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	return folder("envoy-gateway", "envoy-gateway", "envoy-gateway.envoy-gateway-system", "envoy-gateway.envoy-gateway-system.svc"),
		folder("*", "*.envoy-gateway-system")
}

// asEnvoyGateway is the TLS of its server.
func asEnvoyGateway(t testing.TB, folder string) grpc.ServerOption {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca)
	return grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MinVersion: tls.VersionTLS13,
	}))
}

// listen serves at a free port.
func listen(t testing.TB, s *grpc.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { s.Stop(); serving.Wait() })
	return l.Addr().String()
}
