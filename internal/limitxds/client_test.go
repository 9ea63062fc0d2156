package limitxds

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rlsconfv3 "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/internal/testenv"
)

// TestEnvoyGatewaysLimits: what an Envoy Gateway serves is served, changed, refused with
// its fault and mended, through the TLS that it has.
func TestEnvoyGatewaysLimits(t *testing.T) {
	t.Parallel()
	secrets := testenv.EnvoyGatewaySecrets(t)
	s := testenv.StartEnvoyGateway(t, "127.0.0.1:0", secrets.Gateway)
	o := options(s.Addr)
	o.trust(secrets.RateLimit)
	o.NodeMetadata = "zone=b,pod=x=y"
	f := follow(t, o, func(c *Client) { c.firstWait = time.Millisecond })

	served := testenv.RateLimitConfigs(t, "testdata/envoy-gateway.yaml")
	s.Set(served...)
	accepts(t, s, "1")
	const listener, route, other = "default/eg/http", "httproute/default/app/rule/0/match/0/*", "httproute/default/app/rule/1/match/0/*"
	for want, entries := range map[uint32][]string{
		5:    {route, route, "rule-0-match-0", "rule-0-match-0", "rule-0-match-1", "rule-0-match-1", "rule-0-match-2", "anyone"},
		15:   {route, route, "masked_remote_address", "192.168.0.0/16", "remote_address", "192.168.3.4"},
		7:    {route, route, "masked_remote_address", "invert:10.0.0.0/8"},
		1000: {route, route, "rule-3-match--1", "rule-3-match--1"},
		1:    {other, other, "rule-0-method", "rule-0-method", "rule-0-path", "rule-0-path"},
		21:   {other, other, "rule-1-match-0", "rule-1-match-0"},
	} {
		if got := f.limit(listener, entries...); got != want {
			t.Errorf("%v: %d, want %d", entries, got, want)
		}
	}
	if got := f.limit("default/shared-policy", "default/shared-policy/rule/0", "default/shared-policy/rule/0", "rule-0-match-0", "u"); got != 3 {
		t.Errorf("shared: %d, want 3", got)
	}
	if got := f.limit(listener, route, route, "masked_remote_address", "192.168.0.0/16"); got != 0 {
		t.Errorf("a network itself has the limit %d, and its addresses should have", got)
	}
	if got := f.limit(listener, strings.ReplaceAll(other, "*", "host"), other, "rule-1-match-0", "rule-1-match-0"); got != 0 {
		t.Errorf("a * in a key stands for something: the limit %d", got)
	}
	first, _ := s.Requests(func(r *discoveryv3.DiscoveryRequest) bool { return r.GetResponseNonce() == "" })
	if len(first) != 1 || first[0].GetNode().GetId() != testenv.EnvoyGatewayNode || first[0].GetNode().GetMetadata().GetFields()["pod"].GetStringValue() != "x=y" || first[0].GetVersionInfo() != "" {
		t.Errorf("the first request is %v", first)
	}

	changed := proto.Clone(served[1]).(*rlsconfv3.RateLimitConfig)
	changed.Descriptors[0].Descriptors[0].RateLimit.RequestsPerUnit = 4
	s.Set(served[0], changed)
	accepts(t, s, "2")
	f.has(4, "default/shared-policy", "default/shared-policy/rule/0", "default/shared-policy/rule/0", "rule-0-match-0", "u")

	bad := proto.Clone(served[0]).(*rlsconfv3.RateLimitConfig)
	bad.Descriptors[1].Descriptors[0].Descriptors[0].RateLimit.Unit = rlsconfv3.RateLimitUnit_UNKNOWN
	bad.Descriptors[0].Descriptors = append(bad.Descriptors[0].Descriptors, bad.Descriptors[0].Descriptors[2])
	s.Set(bad, served[1])
	const faults = `default/eg/http: descriptors[0].descriptors[4]: has the key "masked_remote_address" and the value "invert:10.0.0.0/8", as has default/eg/http: descriptors[0].descriptors[2]
default/eg/http: descriptors[1].descriptors[0].descriptors[0].rate_limit.unit: is missing: say second, minute, hour, day, week, month or year, or unlimited: true`
	eventually(t, "the bad one is refused", func() bool { return f.fault() == faults })
	eventually(t, "the server is told of it", func() bool {
		nacks, _ := s.Requests(isNACK)
		return len(nacks) > 0 && nacks[0].GetErrorDetail().GetMessage() == faults && nacks[0].GetVersionInfo() == "2" && nacks[0].GetResponseNonce() != ""
	})
	if got := f.limit("default/shared-policy", "default/shared-policy/rule/0", "default/shared-policy/rule/0", "rule-0-match-0", "u"); got != 4 {
		t.Errorf("what is bad in one domain has changed another: %d, want 4", got)
	}

	s.Set(served...)
	accepts(t, s, "4")
	f.has(3, "default/shared-policy", "default/shared-policy/rule/0", "default/shared-policy/rule/0", "rule-0-match-0", "u")
	if f.fault() != "" {
		t.Errorf("a fault is told that is mended: %s", f.fault())
	}
	status := f.Status()
	if !status.Connected || status.Version != "4" || status.AcceptedAt == nil || status.RestoredFrom != nil || status.Fault != "" {
		t.Errorf("status %+v", status)
	}
	if got := testutil.ToFloat64(f.metrics.responses.WithLabelValues("nack")); got == 0 {
		t.Error("no refusal is counted")
	}
	if got := testutil.ToFloat64(f.metrics.connected); got != 1 {
		t.Errorf("connected: %v", got)
	}
}

// trust sets the TLS of a Secret of Envoy Gateway.
func (o *Options) trust(secret string) {
	o.CA, o.ServerName = filepath.Join(secret, "ca.crt"), "envoy-gateway"
	o.Cert, o.Key = filepath.Join(secret, "tls.crt"), filepath.Join(secret, "tls.key")
}

// TestAServerThatIsNotTrusted is not listened to.
func TestAServerThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	secrets, other := testenv.EnvoyGatewaySecrets(t), testenv.EnvoyGatewaySecrets(t)
	file := filepath.Join
	for name, change := range map[string]func(*Options){
		"of another authority":        func(o *Options) { o.CA = file(other.RateLimit, "ca.crt") },
		"of another name":             func(o *Options) { o.ServerName = "another" },
		"that asks for a certificate": func(o *Options) { o.Cert, o.Key = "", "" },
		"that is shown a stranger's": func(o *Options) {
			o.Cert, o.Key = file(other.RateLimit, "tls.crt"), file(other.RateLimit, "tls.key")
		},
		"that is asked without TLS": func(o *Options) { o.Cert, o.Key, o.CA, o.ServerName = "", "", "", "" },
	} {
		s := testenv.StartEnvoyGateway(t, "127.0.0.1:0", secrets.Gateway)
		s.Set(of("d", "a", 1))
		o := options(s.Addr)
		o.trust(secrets.RateLimit)
		change(&o)
		f := follow(t, o)
		eventually(t, "failures are counted: a server "+name, func() bool { return testutil.ToFloat64(f.metrics.ended) > 1 })
		if status := f.Status(); status.AcceptedAt != nil || f.limit("d", "a", "x") != 0 {
			t.Errorf("a server %s is listened to: %+v", name, status)
		}
	}
}

// TestCertificatesAreReadAnew for each connection.
func TestCertificatesAreReadAnew(t *testing.T) {
	t.Parallel()
	before, after := testenv.EnvoyGatewaySecrets(t), testenv.EnvoyGatewaySecrets(t)
	s := testenv.StartEnvoyGateway(t, "127.0.0.1:0", before.Gateway)
	s.Set(of("d", "a", 1))
	o := options(s.Addr)
	o.trust(before.RateLimit)
	f := follow(t, o)
	f.has(1, "d", "a", "x")
	for _, name := range []string{"ca.crt", "tls.crt", "tls.key"} {
		if err := os.Rename(filepath.Join(after.RateLimit, name), filepath.Join(before.RateLimit, name)); err != nil {
			t.Fatal(err)
		}
	}
	s.Stop()
	s = testenv.StartEnvoyGateway(t, s.Addr, after.Gateway)
	s.Set(of("d", "a", 2))
	f.has(2, "d", "a", "x")
}

// TestRefusalsDoNotKeepTheServerBusy: go-control-plane sends what was refused again at
// once, so that two that answer at once would do nothing else.
func TestRefusalsDoNotKeepTheServerBusy(t *testing.T) {
	t.Parallel()
	s := testenv.StartEnvoyGateway(t, "127.0.0.1:0", "")
	f := follow(t, options(s.Addr), func(c *Client) { c.firstWait = time.Hour })
	s.Set(of("d", "a", 1))
	accepts(t, s, "1")
	s.Set(of("gatewright", "a", 1))
	eventually(t, "the bad one is sent again", func() bool { _, sent := s.Requests(isNACK); return sent == 3 })
	time.Sleep(100 * time.Millisecond) // nothing is waited for: a second refusal would come now
	nacks, sent := s.Requests(isNACK)
	if len(nacks) != 1 || sent != 3 {
		t.Errorf("%d refusals, %d responses; want 1 and 3", len(nacks), sent)
	}
	f.mu.Lock()
	taken := f.taken
	f.mu.Unlock()
	if taken != 2 {
		t.Errorf("taken %d times, want 2: what is sent again is not judged again", taken)
	}
	// Whoever waits with a refusal sees all the same that the server is gone, and comes back.
	s.Stop()
	s = testenv.StartEnvoyGateway(t, s.Addr, "")
	s.Set(of("d", "a", 2))
	f.has(2, "d", "a", "x")
}

// TestAServerThatStartsAnew counts its versions from 1 again, with other content.
func TestAServerThatStartsAnew(t *testing.T) {
	t.Parallel()
	s := testenv.StartEnvoyGateway(t, "127.0.0.1:0", "")
	f := follow(t, options(s.Addr))
	s.Set(of("d", "a", 1))
	accepts(t, s, "1")
	s.Stop()
	eventually(t, "the loss is seen", func() bool { return !f.Status().Connected })
	if status := f.Status(); status.Fault == "" || f.limit("d", "a", "x") != 1 || testutil.ToFloat64(f.metrics.connected) != 0 {
		t.Errorf("status %+v, limit %d: want what was served, and why there is no more", status, f.limit("d", "a", "x"))
	}
	s = testenv.StartEnvoyGateway(t, s.Addr, "")
	s.Set(of("d", "a", 2))
	f.has(2, "d", "a", "x")
	accepts(t, s, "1")
	if status := f.Status(); !status.Connected || status.Fault != "" {
		t.Errorf("status %+v", status)
	}
}

// TestDomainsThatAreNamedLater: a server that starts tells of one domain after the other,
// and no limit is off meanwhile. What it does not name is taken away in the end.
func TestDomainsThatAreNamedLater(t *testing.T) {
	t.Parallel()
	for name, settling := range map[string]time.Duration{"in time": time.Hour, "never": 50 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := testenv.StartEnvoyGateway(t, "127.0.0.1:0", "")
			f := follow(t, options(s.Addr), func(c *Client) { c.settling, c.firstWait = settling, time.Millisecond })
			s.Set(of("d", "a", 1), of("e", "a", 1))
			accepts(t, s, "1")
			s.Stop()
			s = testenv.StartEnvoyGateway(t, s.Addr, "")
			s.Set()
			accepts(t, s, "1")
			s.Set(of("d", "a", 2))
			accepts(t, s, "2")
			f.has(2, "d", "a", "x")
			if settling == time.Hour {
				s.Set(of("d", "a", 2), of("gatewright", "a", 1))
				eventually(t, "a bad one is refused meanwhile", func() bool { return f.fault() != "" })
				if got := f.limit("e", "a", "x"); got != 1 {
					t.Errorf("e has the limit %d before the server has named it, want 1", got)
				}
				s.Set(of("d", "a", 3), of("e", "a", 3))
				f.has(3, "e", "a", "x")
				s.Set(of("e", "a", 4)) // not settled yet: d stays
				accepts(t, s, "5")
				if got := f.limit("d", "a", "x"); got != 3 {
					t.Errorf("d has the limit %d, want 3", got)
				}
				return
			}
			f.has(0, "e", "a", "x")
			s.Set()
			f.has(0, "d", "a", "x")
		})
	}
}

// TestLimitsOfAnEarlierRun are served while the server is away, those of no other server
// or node, and none that are damaged.
func TestLimitsOfAnEarlierRun(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "kept")
	s := testenv.StartEnvoyGateway(t, "127.0.0.1:0", "")
	first := options(s.Addr)
	first.Kept = folder
	f := follow(t, first)
	s.Set(of("d", "a", 1))
	accepts(t, s, "1")
	s.Set(of("d", "a", 2))
	accepts(t, s, "2")
	f.has(2, "d", "a", "x")
	s.Stop()

	again := func(change func(*Options)) (*follower, error) {
		o := options(s.Addr)
		o.Kept = folder
		change(&o)
		c, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		f := &follower{Client: c, t: t}
		return f, c.Restore(f.take)
	}
	next, err := again(func(*Options) {})
	if status := next.Status(); err != nil || next.limit("d", "a", "x") != 2 || status.RestoredFrom == nil || status.Connected {
		t.Errorf("%v, the limit %d, status %+v", err, next.limit("d", "a", "x"), status)
	}
	for name, change := range map[string]func(*Options){
		"another server": func(o *Options) { o.Server = "localhost:1" },
		"another node":   func(o *Options) { o.NodeID = "x" },
		"nothing kept":   func(o *Options) { o.Kept = "" },
	} {
		if other, err := again(change); err != nil || other.limit("d", "a", "x") != 0 || other.Status().RestoredFrom != nil {
			t.Errorf("%s: %v, limits are served", name, err)
		}
	}
	files, _ := filepath.Glob(filepath.Join(folder, "*.binpb"))
	if len(files) != 1 {
		t.Fatalf("kept in %v, want one file", files)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{"cut": data[:len(data)-1], "short": data[:3], "changed": append([]byte{^data[0]}, data[1:]...), "empty": nil} {
		if err := os.WriteFile(files[0], damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if other, err := again(func(*Options) {}); err == nil || !strings.Contains(err.Error(), "damaged") || other.limit("d", "a", "x") != 0 {
			t.Errorf("%s: %v, limit %d", name, err, other.limit("d", "a", "x"))
		}
	}
}

// TestAnswersThatAreNone end the stream, and change nothing.
func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]*discoveryv3.DiscoveryResponse{
		`of the type "x"`: {TypeUrl: "x", Nonce: "1"},
		"larger than max": {TypeUrl: typeURL, Nonce: "1", VersionInfo: strings.Repeat("x", 1<<10)},
	} {
		f := follow(t, options(odd(t, answer)), func(c *Client) { c.maxResponse = 1 << 10 })
		eventually(t, name, func() bool { return strings.Contains(f.Status().Fault, name) })
		if f.Status().AcceptedAt != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// odd serves one answer to each stream.
func odd(t testing.TB, answer *discoveryv3.DiscoveryResponse) string {
	t.Helper()
	s := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(s, oneAnswer{answer: answer})
	return listen(t, s)
}

type oneAnswer struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	answer *discoveryv3.DiscoveryResponse
}

func (o oneAnswer) StreamAggregatedResources(s discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	if err := s.Send(o.answer); err != nil {
		return err
	}
	<-s.Context().Done()
	return nil
}

// TestSettings that cannot be meant are refused, all of them.
func TestSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		settings Settings
		want     []string // nil: they are good
	}{
		{Settings{Server: "localhost:18001", NodeID: "n"}, nil},
		{Settings{Server: "[::1]:18001", NodeID: "n", NodeMetadata: "a=b,c="}, nil},
		{Settings{Server: "unix:/run/x", NodeID: "n"}, nil},
		{Settings{Server: "envoy-gateway:18001", NodeID: "n", Plaintext: true}, nil},
		{Settings{Server: "envoy-gateway:18001", NodeID: "n"}, []string{"SERVER_URL=envoy-gateway:18001: is on another machine"}},
		{Settings{Server: "grpc://envoy-gateway:18001", NodeID: "n"}, []string{"must be host:port"}},
		{Settings{Server: "unix:", NodeID: "n"}, []string{"must be host:port"}},
		{Settings{Server: "localhost", NodeMetadata: "a"}, []string{"must be host:port", "NODE_ID=: must not be empty", "must be name=value"}},
		{Settings{Server: "localhost:1", NodeID: "n", NodeMetadata: "a=1,a=2"}, []string{"has a twice"}},
		{Settings{Server: "localhost:1", NodeID: "n", Cert: "c"}, []string{"set both, or none", "SERVER_TLS_CACERT: not set"}},
		{Settings{Server: "localhost:1", NodeID: "n", ServerName: "c"}, []string{"SERVER_TLS_CACERT: not set"}},
		{Settings{Server: "localhost:1", NodeID: "n", CA: "c", Plaintext: true}, []string{"take one of the two away"}},
		{Settings{Server: "localhost:1", NodeID: "n", CA: "absent"}, []string{"SERVER_TLS_CACERT: absent"}},
	} {
		_, err := New(Options{Settings: c.settings, Registerer: prometheus.NewRegistry()})
		if (err == nil) != (c.want == nil) {
			t.Errorf("%+v: %v", c.settings, err)
		}
		for _, want := range c.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %q", c.settings, err, want)
			}
		}
	}
}

// TestLongFaults are cut for the server.
func TestLongFaults(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("ü", maxDetail)
	if got := clipped(text); len(got) > maxDetail+3 || !strings.HasSuffix(got, "ü…") {
		t.Errorf("%d bytes, ending in %q", len(got), got[len(got)-8:])
	}
	if got := clipped("short"); got != "short" {
		t.Error(got)
	}
}
