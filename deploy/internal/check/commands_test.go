package check

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// shell runs lines as somebody does who has the repository and a config of their own.
type shell struct {
	dir string
	env []string
}

// newShell is one with kubectl and Helm; with a cluster where kubeconfig is not empty,
// and else with what they can do without.
func newShell(t *testing.T, kubeconfig string) *shell {
	t.Helper()
	dir, home := t.TempDir(), t.TempDir()
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"deploy": "deploy", "gateway.yaml": "deploy/compose/gateway.yaml"} {
		if err := os.Symlink(filepath.Join(repository, to), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"PATH=" + programs(t) + ":" + os.Getenv("PATH"), "HOME=" + home, "REDIS_PASSWORD=r", "POSTGRES_PASSWORD=p",
		"REGISTRY=" + exampleRegistry, "VERSION=" + exampleVersion, "KUBECONFIG=" + kubeconfig}
	if kubeconfig == "" {
		env = append(env, offline+"=yes", "KUBECONFIG="+filepath.Join(home, "none"))
	}
	return &shell{dir, env}
}

func (s *shell) run(t *testing.T, line, input string) []byte {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", line)
	cmd.Dir, cmd.Env, cmd.Stdin = s.dir, s.env, strings.NewReader(input)
	var told bytes.Buffer
	cmd.Stderr = &told
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, &told)
	}
	return out
}

// clusterCommands are the lines of the documents that are about a cluster, once each, but
// for those about one in which Envoy Gateway is: see TestEnvoyGatewayCommands.
func clusterCommands(t *testing.T) []string {
	t.Helper()
	return linesOf(t, false, "kubectl create namespace", "create secret", "kubectl apply -k", "helm install")
}

// linesOf are the lines of the documents with kubectl or Helm, once each, of those about
// Envoy Gateway or of all others. There has to be one with each of the parts.
func linesOf(t *testing.T, envoyGateway bool, parts ...string) (lines []string) {
	t.Helper()
	for _, c := range documented(t) {
		ofEnvoyGateway := c.at == "docs/meshes.md" || strings.HasPrefix(c.at, "deploy/envoy-gateway/")
		if c.program != "docker" && ofEnvoyGateway == envoyGateway && !slices.Contains(lines, c.line) {
			lines = append(lines, c.line)
		}
	}
	for _, part := range parts {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, part) }) {
			t.Fatalf("no document says %s: were they read? There are %q", part, lines)
		}
	}
	return lines
}

// TestClusterCommands runs each line of the documents with kubectl or Helm as it stands
// there, by these programs' own code. Where there is a Kubernetes API server
// (`make cluster`), everything is installed there; and else all is done that needs none,
// and what comes out is read by Kubernetes' types.
func TestClusterCommands(t *testing.T) {
	kubeconfig := startCluster(t)
	s := newShell(t, kubeconfig)
	for _, line := range clusterCommands(t) {
		t.Log(line)
		out := s.run(t, line, "")
		if kubeconfig == "" {
			checkMade(t, line, out)
		}
	}
	if kubeconfig != "" {
		s.checkAdmitted(t)
	}
}

// checkMade judges what is made without a cluster.
func checkMade(t *testing.T, line string, out []byte) {
	t.Helper()
	objects := decoded(t, out)
	if len(objects) == 0 {
		t.Errorf("%s makes nothing", line)
	}
	for _, o := range objects {
		if secret, ok := o.(*corev1.Secret); ok {
			checkSecret(t, secret)
		}
	}
}

// checkSecret: the Secret that people are told to make has what the manifests read of it.
func checkSecret(t *testing.T, made *corev1.Secret) {
	t.Helper()
	in := installed(t, kustomized(t, "../../kubernetes/overlays/example"))
	read := 0
	for _, v := range in.deployment.Spec.Template.Spec.Volumes {
		if v.Secret != nil && v.Secret.SecretName == made.Name {
			read++
			for _, item := range v.Secret.Items {
				if len(made.Data[item.Key]) == 0 {
					t.Errorf("the secret has no %s", item.Key)
				}
			}
		}
	}
	if read == 0 {
		t.Errorf("nobody reads the secret %s", made.Name)
	}
}

// checkAdmitted: the pods of all that was installed are such that the server takes them
// in their namespace, which enforces a pod security standard. (Nothing makes pods of
// deployments here.)
func (s *shell) checkAdmitted(t *testing.T) {
	t.Helper()
	var all appsv1.DeploymentList
	if err := json.Unmarshal(s.run(t, "kubectl -n gatewright get deployments -o json", ""), &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Items) != 2 {
		t.Errorf("%d deployments are there, want Kustomize's and Helm's", len(all.Items))
	}
	for _, d := range all.Items {
		pod, err := json.Marshal(corev1.Pod{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: metav1.ObjectMeta{Name: d.Name, Namespace: d.Namespace, Labels: d.Spec.Template.Labels},
			Spec:       d.Spec.Template.Spec,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.run(t, "kubectl apply -f -", string(pod))
	}
	root := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"root","namespace":"gatewright"},"spec":{"serviceAccountName":"gatewright","containers":[{"name":"c","image":"i","securityContext":{"runAsUser":0}}]}}`
	if out := s.run(t, "kubectl apply -f - 2>&1 || true", root); !strings.Contains(string(out), "violates PodSecurity") {
		t.Errorf("a pod of root is taken: %s", out)
	}
}

// TestChartLints: Helm's own judgement of the chart.
func TestChartLints(t *testing.T) {
	out := newShell(t, "").run(t, "helm lint --strict deploy/helm/gatewright", "")
	if !strings.Contains(string(out), "1 chart(s) linted, 0 chart(s) failed") {
		t.Errorf("it says %s", out)
	}
}
