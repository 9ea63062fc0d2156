package xds

import (
	"errors"
	"slices"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/gatewright/gatewright/config"
)

// withTLS is a config whose listener has TLS.
func withTLS(t *config.ListenerTLS) *config.Config {
	c := configWith("a")
	c.Listeners[0].TLS = t
	return c
}

func edgeTLS() *config.ListenerTLS {
	return &config.ListenerTLS{Certificates: []*config.Certificate{{Name: "edge.crt"}}, ClientCA: "ca.pem"}
}

func edgeSecrets(key string) Secrets {
	return Secrets{
		Certificates: []CertificateSecret{{Name: "edge.crt", Chain: []byte("chain"), Key: []byte(key)}},
		Clients:      []ClientsSecret{{Listener: "public", CA: []byte("authority"), CRL: []byte("list")}},
	}
}

func secretsWith(t *testing.T, r Resources, s Secrets) Resources {
	t.Helper()
	out, err := r.With(s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSecretsAreNotOfThePlan: a new key changes its secret and nothing else, and
// is shown nowhere.
func TestSecretsAreNotOfThePlan(t *testing.T) {
	t.Parallel()
	plan := build(t, withTLS(edgeTLS()))
	if len(plan[resource.SecretType]) > 0 {
		t.Fatalf("the plan has %v", plan[resource.SecretType])
	}
	one, two := secretsWith(t, plan, edgeSecrets("canary-one")), secretsWith(t, plan, edgeSecrets("canary-two"))
	if len(plan[resource.SecretType]) > 0 || one.SameSecrets(two) || !one.SameSecrets(secretsWith(t, plan, edgeSecrets("canary-one"))) {
		t.Error("secrets are not told apart")
	}
	for _, typ := range Types {
		for name, r := range two[typ] {
			if changed := one[typ][name].Version != r.Version; changed != (name == "certificate/edge.crt") {
				t.Errorf("%s: changed %t", name, changed)
			}
		}
	}
	shown, err := one.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"canary": false, "Y2FuYXJ5": false, redacted: true, "clients/public": true} {
		if strings.Contains(string(shown), text) != want {
			t.Errorf("%q is shown: %t", text, !want)
		}
	}
}

// TestListenersNeedTheirSecrets: a set that lacks one does not leave.
func TestListenersNeedTheirSecrets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	plan := build(t, withTLS(edgeTLS()))
	for name, s := range map[string]Secrets{"none": {}, "no authorities": {Certificates: edgeSecrets("k").Certificates}, "no certificate": {Clients: edgeSecrets("k").Clients}} {
		if _, err := r.Publish(t.Context(), secretsWith(t, plan, s)); !errors.Is(err, ErrUnsafe) {
			t.Errorf("%s: %v", name, err)
		}
	}
	publish(t, r, secretsWith(t, plan, edgeSecrets("k")))
}

// TestDownstreamTLS is what a listener's TLS comes to.
func TestDownstreamTLS(t *testing.T) {
	t.Parallel()
	of := func(l *config.ListenerTLS) *tlsv3.DownstreamTlsContext {
		t.Helper()
		message := build(t, withTLS(l))[resource.ListenerType]["public"].Message.(*listenerv3.Listener)
		out := &tlsv3.DownstreamTlsContext{}
		if err := message.GetFilterChains()[0].GetTransportSocket().GetTypedConfig().UnmarshalTo(out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	plain := of(&config.ListenerTLS{Certificates: edgeTLS().Certificates})
	if plain.GetRequireClientCertificate().GetValue() || plain.GetCommonTlsContext().GetValidationContextType() != nil || plain.GetDisableStatelessSessionResumption() {
		t.Errorf("without clients: %v", plain)
	}
	params := plain.GetCommonTlsContext().GetTlsParams()
	if params.GetTlsMinimumProtocolVersion() != tlsv3.TlsParameters_TLSv1_2 || !slices.Equal(params.GetCipherSuites(), cipherSuites) {
		t.Errorf("parameters: %v", params)
	}
	optional := of(edgeTLS())
	if optional.GetRequireClientCertificate().GetValue() || !optional.GetDisableStatelessSessionResumption() || !optional.GetDisableStatefulSessionResumption() {
		t.Errorf("optional: %v", optional)
	}
	must := edgeTLS()
	must.ClientCertificate, must.MinVersion = config.ClientCertificateRequired, "1.3"
	required := of(must)
	if !required.GetRequireClientCertificate().GetValue() || required.GetCommonTlsContext().GetTlsParams().GetTlsMinimumProtocolVersion() != tlsv3.TlsParameters_TLSv1_3 {
		t.Errorf("required: %v", required)
	}
	if socket := build(t, configWith("a"))[resource.ListenerType]["public"].Message.(*listenerv3.Listener).GetFilterChains()[0].GetTransportSocket(); socket != nil {
		t.Errorf("without TLS: %v", socket)
	}
}
