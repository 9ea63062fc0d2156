package plan

import (
	"slices"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/xds"
)

// somePublicKeys are of RFC 7517, appendix A.1, and RFC 8037, appendix A.2: of each kind
// that there is.
var somePublicKeys = []xds.PlacedKey{
	{ID: "ec", Algorithms: []string{"ES256"}, Members: map[string]string{
		"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
	}},
	{ID: "rsa", Algorithms: []string{"RS256"}, Members: map[string]string{
		"kty": "RSA", "e": "AQAB",
		"n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
	}},
	{ID: "ed", Algorithms: []string{"EdDSA"}, Members: map[string]string{
		"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
	}},
}

// someState is what policies inside Envoy may meet: each provider has all kinds of keys
// that it takes, and a token, a subject and all of an issuer have been revoked.
func someState(p *Plan) xds.PlacedState {
	state := xds.PlacedState{Keys: map[string][]xds.PlacedKey{}, Version: "0123456789ab", IssuedBefore: time.Unix(1_700_000_000, 0), Open: map[string]bool{}}
	before := time.Unix(1_700_000_000, 0)
	for _, policy := range p.Placed() {
		for _, c := range policy.Callers {
			if state.Keys[c.Key] != nil {
				continue
			}
			state.Keys[c.Key] = keysFor(c.Provider)
			state.Revoked = append(state.Revoked,
				xds.PlacedRevocation{Issuer: c.Provider.Issuer, ID: "5f2c"},
				xds.PlacedRevocation{Issuer: c.Provider.Issuer, Subject: "alice", IssuedBefore: before},
				xds.PlacedRevocation{Issuer: c.Provider.Issuer, IssuedBefore: before.Add(-time.Hour)})
		}
	}
	return state
}

func keysFor(p *config.JWT) []xds.PlacedKey {
	if len(p.Algorithms) == 0 {
		return somePublicKeys[:2]
	}
	return somePublicKeys
}

// withPlaced are resources with the filters of policies as they are made of someState.
func withPlaced(t *testing.T, p *Plan, r xds.Resources) xds.Resources {
	t.Helper()
	out, err := r.WithPlaced(p.Placed(), someState(p))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// withStaticFilters has a connection manager the filters in itself that are served beside
// its listener.
func withStaticFilters(hcm *hcmv3.HttpConnectionManager, r xds.Resources) {
	for _, f := range hcm.GetHttpFilters() {
		if f.GetConfigDiscovery() == nil {
			continue
		}
		served := r[resource.ExtensionConfigType][f.GetName()].Message.(*corev3.TypedExtensionConfig)
		f.ConfigType = &hcmv3.HttpFilter_TypedConfig{TypedConfig: served.GetTypedConfig()}
	}
}

// withStaticEnvoys gives a bootstrap the cluster of the Envoys that share limits, which
// ADS would deliver the endpoints of.
func withStaticEnvoys(b *bootstrapv3.Bootstrap) {
	if b.ClusterManager == nil {
		b.ClusterManager = &bootstrapv3.ClusterManager{}
	}
	b.ClusterManager.LocalClusterName = xds.EnvoysCluster
	b.StaticResources.Clusters = append(b.StaticResources.Clusters, &clusterv3.Cluster{
		Name: xds.EnvoysCluster, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
	})
}

// TestGoldenPlaced: the filters that are served beside the listeners of the config on
// placement, as they are made of some keys and revocations; while a breaker is open; and
// while nothing is known. A real Envoy judges each.
func TestGoldenPlaced(t *testing.T) {
	t.Parallel()
	c, err := config.Load("testdata/golden/placement.in.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	open := someState(p)
	open.Open = map[string]bool{"orders": true}
	for name, state := range map[string]xds.PlacedState{"closed": someState(p), "open": open, "unknown": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := withSecrets(t, p).WithPlaced(p.Placed(), state)
			if err != nil {
				t.Fatal(err)
			}
			got, err := xds.Resources{resource.ExtensionConfigType: r[resource.ExtensionConfigType]}.YAML()
			if err != nil {
				t.Fatal(err)
			}
			compare(t, "testdata/placed/"+name+".yaml", got)
			validate(t, r)
		})
	}
}

// TestVersionsChangeOneFilter: the version of the config, which the log tells, is in one
// small filter that is served beside routes and listeners, and in nothing else.
func TestVersionsChangeOneFilter(t *testing.T) {
	t.Parallel()
	c, err := config.Load("testdata/golden/placement.in.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	of := func(version string) xds.Resources {
		state := someState(p)
		state.Version = version
		r, err := withSecrets(t, p).WithPlaced(p.Placed(), state)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	var changed []string
	before, after := of("0123456789ab"), of("ba9876543210")
	for typeURL, byName := range after {
		for name, r := range byName {
			if r.Version == before[typeURL][name].Version {
				continue
			}
			changed = append(changed, name)
			if size := len(r.Message.(*corev3.TypedExtensionConfig).GetTypedConfig().GetValue()); size > 1024 {
				t.Errorf("%s has %d bytes", name, size)
			}
		}
	}
	if !slices.Equal(changed, []string{"gatewright.caller"}) {
		t.Errorf("the version changes %q", changed)
	}
}

// TestEnvoyJudgesPlacedFilters: what is validated has the contents of the filters in it.
// Without it the test above would prove nothing.
func TestEnvoyJudgesPlacedFilters(t *testing.T) {
	t.Parallel()
	p := compiled(t, placedGateway)
	b := static(t, withPlaced(t, p, withSecrets(t, p)))
	for _, l := range b.GetStaticResources().GetListeners() {
		if l.GetName() != "public" {
			continue
		}
		for _, f := range filtersIn(t, l) {
			if f.GetConfigDiscovery() != nil {
				t.Errorf("filter %s is left to discovery", f.GetName())
			}
			if strings.HasPrefix(f.GetName(), "gatewright.place") && len(f.GetTypedConfig().GetValue()) < 1000 {
				t.Error("it has no rules in it")
			}
		}
		return
	}
	t.Error("there is no such listener")
}

// filtersIn are the HTTP filters of a listener's first chain.
func filtersIn(t *testing.T, l *listenerv3.Listener) []*hcmv3.HttpFilter {
	t.Helper()
	filters := l.GetFilterChains()[0].GetFilters()
	hcm := &hcmv3.HttpConnectionManager{}
	if err := filters[len(filters)-1].GetTypedConfig().UnmarshalTo(hcm); err != nil {
		t.Fatal(err)
	}
	return hcm.GetHttpFilters()
}
