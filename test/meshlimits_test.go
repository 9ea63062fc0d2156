package test

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rlsconfv3 "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

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
	l.gateway = start(t, setup{config: deployedLimitsConfig(t), serve: true, env: append(
		deployedLimitsSettings(t, strings.NewReplacer("/certs/", l.secrets.RateLimit+"/", "0.0.0.0:8081", grpc, "envoy-gateway:18001", l.control.Addr)),
		// There, it is the host that is asked.
		"GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_SERVER_TLS_SAN=envoy-gateway",
	)})
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

// deployedLimitsConfig is the config that is deployed in the place of envoyproxy/ratelimit,
// with a listener that is free here.
func deployedLimitsConfig(t *testing.T) string {
	t.Helper()
	var deployed struct{ Data map[string]string }
	readYAML(t, "../deploy/envoy-gateway/limits/gatewright.yaml", &deployed)
	return strings.ReplaceAll(deployed.Data["gateway.yaml"], `"127.0.0.1:8080"`, `"{{listen "none"}}"`)
}

// deployedLimitsSettings are the settings of gRPC that are deployed there, with what is
// another here replaced.
func deployedLimitsSettings(t *testing.T, here *strings.Replacer) (out []string) {
	t.Helper()
	type container struct {
		Env []struct{ Name, Value string }
	}
	var deployed struct {
		Config struct {
			EnvoyGateway struct {
				Provider struct {
					Kubernetes struct {
						RateLimitDeployment struct {
							Patch struct {
								Value struct {
									Spec struct {
										Template struct {
											Spec struct{ Containers []container }
										}
									}
								}
							}
						}
					}
				}
			}
		}
	}
	readYAML(t, "../deploy/envoy-gateway/limits/values.yaml", &deployed)
	containers := deployed.Config.EnvoyGateway.Provider.Kubernetes.RateLimitDeployment.Patch.Value.Spec.Template.Spec.Containers
	for _, c := range containers {
		for _, e := range c.Env {
			if strings.Contains(e.Name, "_GRPC_") {
				out = append(out, e.Name+"="+here.Replace(e.Value))
			}
		}
	}
	if len(out) != 9 {
		t.Fatalf("%d settings are deployed: %q", len(out), out)
	}
	return out
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
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
