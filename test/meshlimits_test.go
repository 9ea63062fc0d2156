package test

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rlsconfv3 "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/internal/testenv"
)

// egLimits is a Gatewright in the place of envoyproxy/ratelimit under an Envoy Gateway, and an
// Envoy of that one.
type egLimits struct {
	*gateway
	control *testenv.EnvoyGateway
	secrets testenv.Secrets
	version int
}

func startEGLimits(t *testing.T) *egLimits {
	t.Helper()
	app := backend(t, "app")
	l := &egLimits{secrets: testenv.EnvoyGatewaySecrets(t)}
	l.control = testenv.StartEnvoyGateway(t, "127.0.0.1:0", l.secrets.Gateway)
	grpc, public := testenv.Addr(t), testenv.Addr(t)
	in := func(name string) string { return filepath.Join(l.secrets.RateLimit, name) }
	l.gateway = start(t, setup{
		config: `
listeners:
  - {name: unused, address: "{{listen "unused"}}"}
backends:
  unused: {endpoints: ["127.0.0.1:9"]}
routes:
  - {name: unused, match: {path: /}, auth: public, to: [{backend: unused}]}
`,
		serve: true,
		env: []string{
			"GATEWRIGHT_GRPC_ADDR=" + grpc,
			"GATEWRIGHT_GRPC_CERT=" + in("tls.crt"), "GATEWRIGHT_GRPC_KEY=" + in("tls.key"), "GATEWRIGHT_GRPC_CA=" + in("ca.crt"),
			"GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_SERVER_URL=" + l.control.Addr,
			"GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_NODE_ID=" + testenv.EnvoyGatewayNode,
			"GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_SERVER_TLS_CACERT=" + in("ca.crt"),
			"GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_SERVER_TLS_SAN=envoy-gateway", // there, the host of the server
			"GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_CLIENT_TLS_CERT=" + in("tls.crt"),
			"GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_CLIENT_TLS_KEY=" + in("tls.key"),
		},
	})
	l.listeners["public"] = public
	values := map[string]any{"certs": l.secrets.Envoy, "filters": map[string]string{
		"default/eg/http": "envoy.filters.http.ratelimit", "default/shared": "envoy.filters.http.ratelimit/default/shared",
	}}
	for name, addr := range map[string]string{"port": public, "limits": grpc, "app": app.Addr()} {
		_, values[name], _ = net.SplitHostPort(addr)
	}
	foreignEnvoy(t, "testdata/meshes/envoy-gateway-limits.yaml", values, public)
	return l
}

// set serves resources, and waits until they are accepted or refused.
func (l *egLimits) set(all []*rlsconfv3.RateLimitConfig, accepted bool) *discoveryv3.DiscoveryRequest {
	l.t.Helper()
	l.version++
	l.control.Set(all...)
	var answer *discoveryv3.DiscoveryRequest
	eventually(l.t, "the resources are answered", func() error {
		answers, _ := l.control.Requests(func(r *discoveryv3.DiscoveryRequest) bool {
			if accepted {
				return r.GetVersionInfo() == fmt.Sprint(l.version) && r.GetErrorDetail() == nil
			}
			return r.GetErrorDetail() != nil
		})
		if len(answers) == 0 {
			return fmt.Errorf("not yet\n%s", l.stderr)
		}
		answer = answers[0]
		return nil
	})
	return answer
}

// answers asks again and again for a path, and tells of each answer how it was and how
// many more there may be.
func (l *egLimits) answers(path string, want []string, headers ...header) {
	l.t.Helper()
	got := make([]string, len(want))
	for i := range want {
		r := get(l.t, l.url("public", path), headers...)
		got[i] = fmt.Sprint(r.Status, " ", r.Header.Get("X-Ratelimit-Remaining"))
	}
	if !slices.Equal(got, want) {
		l.t.Errorf("%s %v: got %q, want %q", path, headers, got, want)
	}
}

// status is what `gatewright status` says; well tells whether all must be well.
func (l *egLimits) status(well bool, wants ...string) {
	l.t.Helper()
	eventually(l.t, "gatewright status tells it", func() error {
		out, err := l.command("status").CombinedOutput()
		for _, want := range wants {
			if !strings.Contains(string(out), want) {
				return fmt.Errorf("no %q in %s", want, out)
			}
		}
		if well != (err == nil) {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// TestGlobalLimitsOfEnvoyGateway: the limits of BackendTrafficPolicies come from an Envoy
// Gateway's own server to Gatewright, and are asked for by its Envoy; they are changed
// live, a bad change is refused and changes nothing, and they outlive the server and the
// process.
func TestGlobalLimitsOfEnvoyGateway(t *testing.T) {
	t.Parallel()
	l := startEGLimits(t)
	user := func(name string) header { return header{"X-User-Id", name} }
	if r := get(t, l.url("public", "/"), user("early")); r.Status != 500 {
		t.Errorf("before there are limits, where a failure denies: %d, want 500", r.Status)
	}
	l.status(true, "nothing accepted yet", "waiting")

	resources := testenv.RateLimitConfigs(t, "testdata/meshes/envoy-gateway-resources.yaml")
	l.set(resources, true)
	l.answers("/", []string{"200 1", "200 0", "429 0"}, user("ann"))
	l.answers("/", []string{"200 1"}, user("bob"))
	l.answers("/", []string{"200 0", "429 0"}, header{"X-Plan", "trial"})
	l.answers("/", []string{"200 ", "200 "}, header{"X-Plan", "paid"})
	l.answers("/shared", []string{"200 2", "200 1"})
	l.answers("/shared/of/another", []string{"200 0", "429 0"})

	more := proto.Clone(resources[0]).(*rlsconfv3.RateLimitConfig)
	more.Descriptors[0].Descriptors[0].RateLimit.RequestsPerUnit = 4
	l.set([]*rlsconfv3.RateLimitConfig{more, resources[1]}, true)
	l.answers("/", []string{"200 3"}, user("carl"))
	l.answers("/", []string{"200 0", "429 0"}, user("ann")) // three were counted

	bad := proto.Clone(more).(*rlsconfv3.RateLimitConfig)
	bad.Descriptors[0].Descriptors[0].RateLimit = &rlsconfv3.RateLimitPolicy{RequestsPerUnit: 1000}
	const fault = "default/eg/http: descriptors[0].descriptors[0].rate_limit.unit: is missing"
	if nack := l.set([]*rlsconfv3.RateLimitConfig{bad}, false); nack.GetVersionInfo() != "2" || !strings.HasPrefix(nack.GetErrorDetail().GetMessage(), fault) {
		t.Errorf("refused as %v", nack)
	}
	l.status(false, "2 domains, 3 rules", `version "2" accepted`, ": invalid\n", "  "+fault)
	l.answers("/", []string{"200 2"}, user("carl"))
	l.answers("/shared", []string{"429 0"})
	for _, want := range []string{
		"gatewright_ratelimit_config_last_reload_successful 0", "gatewright_ratelimit_config_xds_connected 1",
		`gatewright_ratelimit_config_xds_responses_total{result="ack"} 2`,
		`gatewright_ratelimit_rule_hits_total{domain="default/shared",result="over_limit",rule="default/shared/rule/0_default/shared/rule/0.rule-0-match--1_rule-0-match--1"} 2`,
	} {
		if !strings.Contains(l.metrics(), want) {
			t.Errorf("metrics lack %s in\n%s", want, only(l.metrics(), "gatewright_ratelimit"))
		}
	}

	l.set([]*rlsconfv3.RateLimitConfig{more, resources[1]}, true)
	l.status(true, `version "4" accepted`)
	l.control.Stop()
	l.status(false, "not connected since", "2 domains, 3 rules")
	l.answers("/", []string{"200 1"}, user("carl"))

	l.stop()
	l.launch("serve")
	l.waitReady()
	l.status(false, "served from an earlier run", "2 domains, 3 rules")
	eventually(t, "the Envoy asks the new process, which has counts of its own", func() error {
		if r := get(t, l.url("public", "/"), user("dora")); r.Header.Get("X-Ratelimit-Remaining") == "" {
			return errStatus(r)
		}
		return nil
	})
	l.answers("/", []string{"200 3"}, user("carl"))
}
