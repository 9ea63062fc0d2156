package plan

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	quicv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/quic/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/envoy"
	"github.com/gatewright/gatewright/internal/certs"
	"github.com/gatewright/gatewright/internal/pki"
	"github.com/gatewright/gatewright/internal/testenv"
	"github.com/gatewright/gatewright/xds"
)

var update = flag.Bool("update", false, "write the golden files anew, and delete stale ones")

// TestGolden compiles each testdata/golden/NAME.in.yaml and compares the
// resources with NAME.out.yaml; and has a real Envoy judge them, since a golden
// file that Envoy would refuse is worth nothing.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/golden/*.in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no golden inputs: %v", err)
	}
	if *update {
		deleteOutputs(t)
	}
	for _, in := range inputs {
		name := strings.TrimSuffix(filepath.Base(in), ".in.yaml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := config.Load(in)
			if err != nil {
				t.Fatal(err)
			}
			var o Options
			if strings.HasPrefix(name, "scoped") {
				o.Form = xds.Scoped // which small configs have only where it is asked for
			}
			p, err := Compile(c, o)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Resources.YAML()
			if err != nil {
				t.Fatal(err)
			}
			compare(t, filepath.Join("testdata/golden", name+".out.yaml"), got)
			validate(t, withPlaced(t, p, withSecrets(t, p)))
		})
	}
}

// withSecrets are a plan's resources with what is in the files that it names, and with
// endpoints where they are discovered: no golden file holds those.
func withSecrets(t *testing.T, p *Plan) xds.Resources {
	t.Helper()
	files, err := certs.Load(p.Config)
	if err != nil {
		t.Fatal(err)
	}
	var secrets xds.Secrets
	for name, pair := range files.Pairs {
		secrets.Certificates = append(secrets.Certificates, xds.CertificateSecret{Name: name, Chain: pair.Chain, Key: pair.Key})
	}
	for _, l := range p.Config.Listeners {
		secrets.Issued, secrets.Challenges = append(secrets.Issued, obtained(t, l)...), append(secrets.Challenges, obtained(t, l)...)
	}
	for listener, a := range files.Clients {
		secrets.Clients = append(secrets.Clients, xds.ClientsSecret{Listener: listener, CA: a.CA, CRL: a.CRL})
	}
	for backend, pair := range files.Shown {
		secrets.Shown = append(secrets.Shown, xds.CertificateSecret{Name: backend, Chain: pair.Chain, Key: pair.Key})
	}
	for backend, a := range files.Roots {
		secrets.Roots = append(secrets.Roots, xds.RootsSecret{Backend: backend, CA: a.CA})
	}
	r, err := p.Resources.With(secrets, nil)
	if err != nil {
		t.Fatal(err)
	}
	discovered := map[string][]*config.Endpoint{}
	for name := range p.Config.Backends { // a backend of the config's own endpoints has no others
		discovered[name] = []*config.Endpoint{{Address: "10.0.0.1:80", Weight: 2, Zone: "eu-1a"}, {Address: "10.0.0.2:80", Priority: 1}}
	}
	if r, err = r.WithEndpoints(p.Config, discovered); err != nil {
		t.Fatal(err)
	}
	return r
}

// obtained are certificates for the domains of a listener, as an authority would
// issue them; for Envoy any one is.
func obtained(t *testing.T, l *config.Listener) []xds.CertificateSecret {
	t.Helper()
	if l.TLS == nil || l.TLS.ACME == nil {
		return nil
	}
	pair, problem := pki.ReadPair("../../config/testdata/certs/edge.crt", "../../config/testdata/certs/edge.key", time.Now())
	if problem != nil {
		t.Fatal(problem)
	}
	var out []xds.CertificateSecret
	for _, domain := range l.TLS.ACME.Domains {
		out = append(out, xds.CertificateSecret{Name: domain, Chain: pair.Chain, Key: pair.Key})
	}
	return out
}

func deleteOutputs(t *testing.T) {
	stale, err := filepath.Glob("testdata/golden/*.out.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range stale {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}

func compare(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		diff := exec.Command("diff", "-u", file, "-")
		diff.Stdin = bytes.NewReader(got)
		out, _ := diff.Output() // its exit status says that they differ
		t.Errorf("differs from %s (go test ./internal/plan -update writes it anew):\n%s", file, out)
	}
}

// goldenModule is where golden configs have Envoy's dynamic module. This machine has it
// elsewhere.
const goldenModule = "/usr/lib/gatewright/libgatewright.so"

// validate passes the resources to `envoy --mode validate`, as static ones.
func validate(t *testing.T, r xds.Resources) {
	t.Helper()
	binary := testenv.Envoy(t)
	j, err := protojson.Marshal(static(t, r))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(j, []byte(goldenModule)) {
		j = bytes.ReplaceAll(j, []byte(goldenModule), []byte(testenv.EnvoyModule(t)))
	}
	file := filepath.Join(t.TempDir(), "static.json")
	if err := os.WriteFile(file, j, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary, "--mode", "validate", "-c", file, "--log-level", "error").CombinedOutput()
	if err != nil {
		t.Errorf("Envoy refuses it: %v\n%s", err, out)
	}
}

// static is a bootstrap that has in itself what ADS would deliver.
func static(t *testing.T, r xds.Resources) *bootstrapv3.Bootstrap {
	t.Helper()
	return staticAt(t, r, "127.0.0.1:9001")
}

// staticAt is one for a Gatewright at an address.
func staticAt(t *testing.T, r xds.Resources, control string) *bootstrapv3.Bootstrap {
	t.Helper()
	b, err := envoy.Bootstrap(envoy.BootstrapOptions{
		NodeID: "golden", ControlCluster: xds.ControlCluster, CallCluster: xds.CallCluster, ControlAddr: control, Admin: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	b.DynamicResources = nil
	withStaticEnvoys(b)
	for _, res := range r[resource.ClusterType] {
		c := proto.Clone(res.Message).(*clusterv3.Cluster)
		if c.GetType() == clusterv3.Cluster_EDS {
			name := c.GetEdsClusterConfig().GetServiceName()
			c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
			c.EdsClusterConfig = nil
			c.LoadAssignment = r[resource.EndpointType][name].Message.(*endpointv3.ClusterLoadAssignment)
		}
		withStaticSecrets(t, c.GetTransportSocket())
		b.StaticResources.Clusters = append(b.StaticResources.Clusters, c)
	}
	for _, res := range r[resource.SecretType] {
		b.StaticResources.Secrets = append(b.StaticResources.Secrets, res.Message.(*tlsv3.Secret))
	}
	for _, res := range r[resource.ListenerType] {
		b.StaticResources.Listeners = append(b.StaticResources.Listeners, withRoutes(t, res.Message.(*listenerv3.Listener), r))
	}
	return b
}

func withRoutes(t *testing.T, l *listenerv3.Listener, r xds.Resources) *listenerv3.Listener {
	t.Helper()
	l = proto.Clone(l).(*listenerv3.Listener)
	for _, chain := range l.GetFilterChains() {
		withStaticSecrets(t, chain.GetTransportSocket())
		withStaticRoutes(t, chain.GetFilters()[len(chain.GetFilters())-1], r)
	}
	return l
}

// withStaticRoutes has a connection manager its routes in itself.
func withStaticRoutes(t *testing.T, filter *listenerv3.Filter, r xds.Resources) {
	t.Helper()
	hcm := &hcmv3.HttpConnectionManager{}
	if err := filter.GetTypedConfig().UnmarshalTo(hcm); err != nil {
		t.Fatal(err)
	}
	if scoped := hcm.GetScopedRoutes(); scoped != nil {
		scoped.ConfigSpecifier = &hcmv3.ScopedRoutes_ScopedRouteConfigurationsList{ScopedRouteConfigurationsList: inlineScopes(r)}
	} else if hcm.GetRds() != nil { // else it has its routes in itself
		table := r[resource.RouteType][hcm.GetRds().GetRouteConfigName()].Message.(*routev3.RouteConfiguration)
		hcm.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: table}
	}
	withStaticFilters(hcm, r)
	packed, err := anypb.New(hcm)
	if err != nil {
		t.Fatal(err)
	}
	filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: packed}
}

// withStaticSecrets has TLS look for its secrets in the bootstrap.
func withStaticSecrets(t *testing.T, socket *corev3.TransportSocket) {
	t.Helper()
	if socket == nil {
		return
	}
	message, err := socket.GetTypedConfig().UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	var tls *tlsv3.CommonTlsContext
	switch m := message.(type) {
	case *tlsv3.DownstreamTlsContext:
		tls = m.GetCommonTlsContext()
	case *tlsv3.UpstreamTlsContext:
		tls = m.GetCommonTlsContext()
	case *quicv3.QuicDownstreamTransport:
		tls = m.GetDownstreamTlsContext().GetCommonTlsContext()
	}
	for _, s := range append(tls.GetTlsCertificateSdsSecretConfigs(), tls.GetValidationContextSdsSecretConfig(),
		tls.GetCombinedValidationContext().GetValidationContextSdsSecretConfig()) {
		if s != nil {
			s.SdsConfig = nil
		}
	}
	packed, err := anypb.New(message)
	if err != nil {
		t.Fatal(err)
	}
	socket.ConfigType = &corev3.TransportSocket_TypedConfig{TypedConfig: packed}
}

// inlineScopes are all scopes with their tables in themselves.
func inlineScopes(r xds.Resources) *hcmv3.ScopedRouteConfigurationsList {
	list := &hcmv3.ScopedRouteConfigurationsList{}
	for _, res := range r[resource.ScopedRouteType] {
		scope := proto.Clone(res.Message).(*routev3.ScopedRouteConfiguration)
		scope.RouteConfiguration = r[resource.RouteType][scope.GetRouteConfigurationName()].Message.(*routev3.RouteConfiguration)
		scope.RouteConfigurationName = ""
		list.ScopedRouteConfigurations = append(list.ScopedRouteConfigurations, scope)
	}
	return list
}

// TestEnvoyAcceptsWhatWeAccept: a config at the edges of what the loader takes
// is not refused by Envoy.
func TestEnvoyAcceptsWhatWeAccept(t *testing.T) {
	inputs, err := filepath.Glob("../../config/testdata/good/*.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no good configs: %v", err)
	}
	for _, in := range append(inputs, "../../examples/quickstart/gateway.yaml") {
		t.Run(filepath.Base(in), func(t *testing.T) {
			t.Parallel()
			c, err := config.Load(in)
			if err != nil {
				t.Fatal(err)
			}
			p, err := Compile(c, Options{})
			if err != nil {
				t.Fatal(err)
			}
			validate(t, withPlaced(t, p, withSecrets(t, p)))
		})
	}
}
