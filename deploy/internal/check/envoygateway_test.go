package check

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"
)

// limitsOfEnvoyGateway is the Deployment that Envoy Gateway makes for envoyproxy/ratelimit,
// as far as a patch may meet it. Taken as facts from envoyproxy/gateway at d32f282,
// internal/infrastructure/kubernetes/ratelimit/testdata/deployments/default.yaml.
const limitsOfEnvoyGateway = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: envoy-ratelimit, namespace: envoy-gateway-system}
spec:
  template:
    spec:
      automountServiceAccountToken: false
      serviceAccountName: envoy-ratelimit
      terminationGracePeriodSeconds: 300
      containers:
        - name: envoy-ratelimit
          image: envoyproxy/ratelimit:master
          command: [/bin/ratelimit]
          env:
            - {name: CONFIG_TYPE, value: GRPC_XDS_SOTW}
            - {name: CONFIG_GRPC_XDS_SERVER_URL, value: "envoy-gateway:18001"}
            - {name: CONFIG_GRPC_XDS_NODE_ID, value: envoy-ratelimit}
            - {name: REDIS_URL, value: "redis.redis.svc:6379"}
          ports: [{name: grpc, containerPort: 8081, protocol: TCP}, {name: metrics, containerPort: 19001, protocol: TCP}]
          resources: {requests: {cpu: 100m, memory: 512Mi}}
          startupProbe: {failureThreshold: 30, httpGet: {path: /healthcheck, port: 8080, scheme: HTTP}, periodSeconds: 10}
          readinessProbe: {failureThreshold: 1, httpGet: {path: /healthcheck, port: 8080, scheme: HTTP}, periodSeconds: 5}
          livenessProbe: {failureThreshold: 3, httpGet: {path: /healthcheck, port: 8080, scheme: HTTP}, periodSeconds: 10}
          securityContext:
            allowPrivilegeEscalation: false
            capabilities: {drop: [ALL]}
            readOnlyRootFilesystem: true
            runAsNonRoot: true
            runAsUser: 65534
          volumeMounts: [{mountPath: /certs, name: certs, readOnly: true}]
      volumes:
        - {name: certs, secret: {secretName: envoy-rate-limit, defaultMode: 420}}
`

// TestLimitsOfEnvoyGateway: patched as Envoy Gateway patches it, its Deployment runs
// Gatewright on the port that its Service has, with files that are mounted.
func TestLimitsOfEnvoyGateway(t *testing.T) {
	text, err := os.ReadFile("../../envoy-gateway/limits/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values struct {
		Config struct {
			EnvoyGateway struct {
				Provider struct {
					Kubernetes struct {
						RateLimitDeployment struct {
							Patch struct{ Value json.RawMessage }
						}
					}
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	original, err := yaml.YAMLToJSON([]byte(limitsOfEnvoyGateway))
	if err != nil {
		t.Fatal(err)
	}
	patched, err := strategicpatch.StrategicMergePatch(original, values.Config.EnvoyGateway.Provider.Kubernetes.RateLimitDeployment.Patch.Value, appsv1.Deployment{})
	if err != nil {
		t.Fatal(err)
	}
	beside, err := os.ReadFile("../../envoy-gateway/limits/gatewright.yaml")
	if err != nil {
		t.Fatal(err)
	}
	in := installed(t, append(append(patched, "\n---\n"...), beside...))
	if in.deployment == nil || in.configs["gatewright-config"] == nil || in.configs["gatewright-config"].Namespace != in.deployment.Namespace {
		t.Fatalf("something is missing: %+v", in)
	}
	in.checkContainer(t)
	in.checkMounts(t)
	c := in.deployment.Spec.Template.Spec.Containers[0]
	if !slices.Equal(c.Command, []string{"gatewright"}) || !slices.Equal(c.Args, []string{"serve"}) || c.Image == "envoyproxy/ratelimit:master" {
		t.Errorf("it runs %q %q of %s", c.Command, c.Args, c.Image)
	}
	settings := map[string]string{}
	for _, e := range c.Env {
		settings[e.Name] = e.Value
	}
	if settings["GATEWRIGHT_GRPC_ADDR"] != "0.0.0.0:8081" || settings["GATEWRIGHT_ADMIN_ADDR"] != "0.0.0.0:19001" {
		t.Error("it does not listen where the Service leads")
	}
	for _, name := range []string{"SERVER_URL", "NODE_ID"} { // where envoyproxy/ratelimit asks, and as whom
		if settings["GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_"+name] != settings["CONFIG_GRPC_XDS_"+name] {
			t.Errorf("%s is another", name)
		}
	}
	for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		if probe.HTTPGet.Port.IntValue() != 19001 {
			t.Errorf("a probe asks at %s", probe.HTTPGet.Port.String())
		}
	}
}

// chartOfEnvoyGateway is a chart in the place of Envoy Gateway's, which is not ours, as far
// as our values meet it: what is under config.envoyGateway becomes the file of its
// ConfigMap envoy-gateway-config, as in gateway-helm's templates/envoy-gateway-config.yaml.
var chartOfEnvoyGateway = map[string]string{
	"Chart.yaml":  "{apiVersion: v2, name: gateway-helm, version: 1.0.0}",
	"values.yaml": "config: {envoyGateway: {gateway: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}, provider: {type: Kubernetes}}}",
	"templates/config.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: envoy-gateway-config, namespace: {{.Release.Namespace}}}
data:
  envoy-gateway.yaml: |
    apiVersion: gateway.envoyproxy.io/v1alpha1
    kind: EnvoyGateway
    {{- toYaml .Values.config.envoyGateway | nindent 4}}
`,
}

// TestEnvoyGatewayCommands runs the lines of the documents about a cluster with Envoy
// Gateway as they stand there, beside a chart in the place of its own: the Secret and the
// objects that they make, and the EnvoyGateway that our values come to.
func TestEnvoyGatewayCommands(t *testing.T) {
	kubeconfig := startCluster(t)
	s := newShell(t, kubeconfig)
	for name, text := range chartOfEnvoyGateway {
		path := filepath.Join(s.dir, "eg", "gateway-helm", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, path, []byte(text))
	}
	if kubeconfig != "" {
		s.run(t, "kubectl create namespace envoy-gateway-system && helm install eg eg/gateway-helm -n envoy-gateway-system", "")
	}
	var made []byte
	for _, line := range linesOf(t, true, "create secret", "kubectl apply -f", "helm upgrade") {
		t.Log(line)
		made = append(append(made, "\n---\n"...), s.run(t, line, "")...)
	}
	if kubeconfig != "" {
		made = s.run(t, "kubectl -n envoy-gateway-system get secrets,configmaps -o json", "")
	}
	for _, want := range []string{"admin-token", "gatewright-config", "failClosed: true", "GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_SERVER_URL", "gateway.envoyproxy.io/gatewayclass-controller"} {
		if !strings.Contains(string(made), want) {
			t.Errorf("%s is nowhere in what was made:\n%s", want, made)
		}
	}
}
