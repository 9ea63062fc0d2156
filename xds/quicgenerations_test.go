package xds

import (
	"fmt"
	"slices"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

func withHTTP3(change func(*config.Config)) *config.Config {
	c := withTLS(&config.ListenerTLS{Certificates: []*config.Certificate{{Name: "edge@1.crt"}}})
	c.Listeners[0].HTTP3 = true
	if change != nil {
		change(c)
	}
	return c
}

func keyed(key string) Secrets {
	return Secrets{Certificates: []CertificateSecret{{Name: "edge@1.crt", Chain: []byte("chain"), Key: []byte(key)}}}
}

func served(t *testing.T, plan Resources, key string, before Resources) Resources {
	t.Helper()
	out, err := plan.With(keyed(key), before)
	if err != nil {
		t.Fatal(err)
	}
	if d := out.dangling(); len(d) > 0 {
		t.Fatal(d)
	}
	return out
}

func quicChains(t *testing.T, r Resources) (names []string, listener *listenerv3.Listener) {
	t.Helper()
	l := r[resource.ListenerType]["public/http3"].Message.(*listenerv3.Listener)
	for _, c := range l.GetFilterChains() {
		names = append(names, c.GetName())
		for _, secret := range certificatesIn(quicTLS(c)) {
			if _, ok := r[resource.SecretType][secret.GetName()]; !ok {
				t.Errorf("chain %s has no secret %s", c.GetName(), secret.GetName())
			}
		}
	}
	return names, l
}

// TestGenerationsOfCertificates: a new certificate has a chain of its own, which new
// connections are led to; those of before stay as they are, up to a bound, and go with
// whatever else changes. Nothing of it is in the plan.
func TestGenerationsOfCertificates(t *testing.T) {
	t.Parallel()
	plan := build(t, withHTTP3(nil))
	planned := proto.Clone(plan[resource.ListenerType]["public/http3"].Message)
	var now Resources
	var newest []string
	for i := range oldGenerations + 3 {
		before := now
		now = served(t, plan, fmt.Sprint("key ", i), before)
		names, l := quicChains(t, now)
		to := &wrapperspb.StringValue{}
		if err := l.GetFilterChainMatcher().GetOnNoMatch().GetAction().GetTypedConfig().UnmarshalTo(to); err != nil || to.GetValue() != names[0] {
			t.Errorf("new connections go to %q and not to %q: %v", to.GetValue(), names[0], err)
		}
		newest = append([]string{names[0]}, newest...)
		if want := newest[:min(len(newest), 1+oldGenerations)]; !slices.Equal(names, want) {
			t.Errorf("the chains are %v, want %v", names, want)
		}
		if before != nil {
			_, old := quicChains(t, before)
			if !proto.Equal(old.GetFilterChains()[0], l.GetFilterChains()[1]) {
				t.Error("a chain of before is another one")
			}
			if now[resource.ListenerType]["public"].Version != before[resource.ListenerType]["public"].Version {
				t.Error("the listener by TCP is another one")
			}
		}
		if again := served(t, plan, fmt.Sprint("key ", i), now); !again.SameSecrets(now) || again[resource.ListenerType]["public/http3"].Version != now[resource.ListenerType]["public/http3"].Version {
			t.Error("the same again is not the same")
		}
	}
	if !proto.Equal(planned, plan[resource.ListenerType]["public/http3"].Message) || len(plan[resource.SecretType]) > 0 {
		t.Error("the plan was changed")
	}
	if back, _ := quicChains(t, served(t, plan, fmt.Sprint("key ", oldGenerations+1), now)); back[0] != newest[1] || back[1] != newest[0] || len(back) != 1+oldGenerations {
		t.Errorf("the certificate of before again: %v", back)
	}
	changed := build(t, withHTTP3(func(c *config.Config) { c.Listeners[0].Bounds = &config.Bounds{MaxHeaders: 7} }))
	if names, _ := quicChains(t, served(t, changed, "another key", now)); len(names) != 1 {
		t.Errorf("of chains that are other ones there are %v", names)
	}
}

// TestGenerationsByNetworks: who comes from a proxy meets the chain for proxies, of the
// newest generation.
func TestGenerationsByNetworks(t *testing.T) {
	t.Parallel()
	plan := build(t, withHTTP3(func(c *config.Config) { c.TrustedProxies = []string{"10.0.0.0/8"} }))
	now := served(t, plan, "two", served(t, plan, "one", nil))
	names, l := quicChains(t, now)
	if len(names) != 4 {
		t.Fatalf("the chains are %v", names)
	}
	if l.GetFilterChainMatcher().GetMatcherTree().GetCustomMatch() == nil {
		t.Errorf("the matcher is %v", l.GetFilterChainMatcher())
	}
	for _, c := range l.GetFilterChains() {
		if c.GetFilterChainMatch() != nil {
			t.Error("a chain has a match of its own")
		}
	}
}
