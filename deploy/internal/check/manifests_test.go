package check

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// installation is what belongs together.
type installation struct {
	deployment *appsv1.Deployment
	service    *corev1.Service
	account    *corev1.ServiceAccount
	budget     *policyv1.PodDisruptionBudget
	scaler     *autoscalingv2.HorizontalPodAutoscaler
	policy     *networkingv1.NetworkPolicy
	configs    map[string]*corev1.ConfigMap
}

func installed(t *testing.T, manifests []byte) installation {
	t.Helper()
	in := installation{configs: map[string]*corev1.ConfigMap{}}
	for _, object := range decoded(t, manifests) {
		switch o := object.(type) {
		case *appsv1.Deployment:
			in.deployment = o
		case *corev1.Service:
			in.service = o
		case *corev1.ServiceAccount:
			in.account = o
		case *policyv1.PodDisruptionBudget:
			in.budget = o
		case *autoscalingv2.HorizontalPodAutoscaler:
			in.scaler = o
		case *networkingv1.NetworkPolicy:
			in.policy = o
		case *corev1.ConfigMap:
			in.configs[o.Name] = o
		case *corev1.Namespace:
		default:
			t.Errorf("a %T: nobody has looked at it", o)
		}
	}
	return in
}

// rendered are all ways in which this is installed.
func rendered(t *testing.T) map[string]installation {
	t.Helper()
	out := map[string]installation{}
	for _, folder := range []string{"base", "overlays/example", "overlays/judge"} {
		out["kustomize "+folder] = installed(t, kustomized(t, "../../kubernetes/"+folder))
	}
	for name, values := range map[string]map[string]any{
		"as it is":    {},
		"judge":       {"mode": "judge"},
		"in a mesh":   {"mode": "judge", "judge": map[string]any{"tlsSecret": ""}},
		"own objects": {"existingConfigMap": "mine", "existingSecret": "mine", "podLabels": map[string]any{"a": "b"}, "podAnnotations": map[string]any{"c": "d"}, "nodeSelector": map[string]any{"e": "f"}, "tolerations": []any{map[string]any{"key": "g", "operator": "Exists"}}, "imagePullSecrets": []any{map[string]any{"name": "h"}}, "service": map[string]any{"type": "ClusterIP", "annotations": map[string]any{"i": "j"}}},
		"http3":       {"listeners": []any{map[string]any{"name": "https", "containerPort": 8443, "servicePort": 443}, map[string]any{"name": "http3", "containerPort": 8443, "servicePort": 443, "protocol": "UDP"}}},
	} {
		manifests, err := templated(values)
		if err != nil {
			t.Fatalf("helm, %s: %v", name, err)
		}
		out["helm "+name] = installed(t, manifests)
	}
	return out
}

// TestManifests: each way to install is one that Kubernetes takes, whose parts find
// each other, and that keeps to the rules.
func TestManifests(t *testing.T) {
	for name, in := range rendered(t) {
		t.Run(name, func(t *testing.T) {
			if in.deployment == nil || in.service == nil || in.account == nil || in.budget == nil || in.scaler == nil || in.policy == nil {
				t.Fatalf("something is missing: %+v", in)
			}
			in.checkPod(t)
			in.checkContainer(t)
			in.checkMounts(t)
			in.checkSelectors(t)
			in.checkPorts(t)
		})
	}
}

func (in installation) checkPod(t *testing.T) {
	t.Helper()
	pod := in.deployment.Spec.Template.Spec
	no := func(b *bool) bool { return b != nil && !*b }
	s := pod.SecurityContext
	switch {
	case !no(pod.AutomountServiceAccountToken) || !no(in.account.AutomountServiceAccountToken) || pod.ServiceAccountName != in.account.Name:
		t.Error("the pod has a token of Kubernetes")
	case s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0:
		t.Error("the pod may run as root")
	case s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault:
		t.Error("the pod has no seccomp profile")
	case pod.HostNetwork || pod.HostPID || pod.HostIPC:
		t.Error("the pod shares what is the node's")
	case in.deployment.Spec.Replicas != nil:
		t.Error("the deployment and the autoscaler both say how many there are")
	}
	for _, v := range pod.Volumes {
		if v.EmptyDir != nil && v.EmptyDir.SizeLimit == nil {
			t.Errorf("volume %s may fill the node", v.Name)
		}
		if v.HostPath != nil {
			t.Errorf("volume %s is the node's", v.Name)
		}
	}
}

func (in installation) checkContainer(t *testing.T) {
	t.Helper()
	containers := in.deployment.Spec.Template.Spec.Containers
	if len(containers) != 1 {
		t.Fatalf("%d containers", len(containers))
	}
	c := containers[0]
	s := c.SecurityContext
	switch {
	case s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem:
		t.Error("it may get privileges, or write to its root")
	case s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0:
		t.Error("it has capabilities")
	case c.ReadinessProbe == nil || c.LivenessProbe == nil || c.StartupProbe == nil:
		t.Error("a probe is missing")
	case c.ReadinessProbe.HTTPGet.Path != "/readyz" || c.LivenessProbe.HTTPGet.Path != "/healthz":
		t.Error("the probes ask for the wrong thing: what is not ready is not to be killed")
	case c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero():
		t.Error("resources are not said")
	}
	for _, e := range c.Env {
		if secret := strings.HasSuffix(e.Name, "TOKEN") || strings.HasSuffix(e.Name, "SECRET") || strings.HasSuffix(e.Name, "PASSWORD"); secret {
			t.Errorf("%s is in the environment: it belongs in a file", e.Name)
		}
		if strings.Contains(e.Value, "://") && strings.Contains(e.Value, "@") && strings.Count(strings.SplitN(e.Value, "@", 2)[0], ":") > 1 {
			t.Errorf("%s has a password", e.Name)
		}
	}
}

// checkMounts: each mount has its volume, and each file that a setting names a mount.
func (in installation) checkMounts(t *testing.T) {
	t.Helper()
	pod := in.deployment.Spec.Template.Spec
	volumes := map[string]corev1.Volume{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = v
		if v.ConfigMap != nil && v.ConfigMap.Name != "mine" {
			if cm := in.configs[v.ConfigMap.Name]; cm == nil || cm.Data["gateway.yaml"] == "" {
				t.Errorf("there is no config map %s with a config", v.ConfigMap.Name)
			}
		}
	}
	c := pod.Containers[0]
	for _, m := range c.VolumeMounts {
		if _, ok := volumes[m.Name]; !ok {
			t.Errorf("no volume %s", m.Name)
		}
		delete(volumes, m.Name)
	}
	for name := range volumes {
		t.Errorf("volume %s is mounted nowhere", name)
	}
	for _, from := range c.EnvFrom {
		if in.configs[from.ConfigMapRef.Name] == nil {
			t.Errorf("there is no config map %s", from.ConfigMapRef.Name)
		}
	}
	for _, e := range c.Env {
		path, ok := strings.CutPrefix(e.Value, "unix:")
		if !ok && !strings.HasPrefix(e.Value, "/") {
			continue
		}
		if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
			return path == m.MountPath || strings.HasPrefix(path, m.MountPath+"/")
		}) {
			t.Errorf("%s=%s is in no volume", e.Name, e.Value)
		}
	}
}

func (in installation) checkSelectors(t *testing.T) {
	t.Helper()
	pod := labels.Set(in.deployment.Spec.Template.Labels)
	for what, selector := range map[string]*metav1.LabelSelector{
		"the deployment": in.deployment.Spec.Selector, "the budget": in.budget.Spec.Selector, "the network policy": &in.policy.Spec.PodSelector,
		"the service": {MatchLabels: in.service.Spec.Selector},
		"the spread":  in.deployment.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector,
	} {
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil || s.Empty() || !s.Matches(pod) {
			t.Errorf("%s does not mean these pods and no others: %v, %v", what, s, err)
		}
	}
	if ref := in.scaler.Spec.ScaleTargetRef; ref.Name != in.deployment.Name || ref.Kind != "Deployment" || *in.scaler.Spec.MinReplicas < 2 {
		t.Errorf("the autoscaler scales %s to at least %d", ref.Name, *in.scaler.Spec.MinReplicas)
	}
	if in.budget.Spec.MaxUnavailable == nil || in.budget.Spec.MaxUnavailable.IntValue() >= int(*in.scaler.Spec.MinReplicas) {
		t.Error("the budget lets all go")
	}
}

// checkPorts: by name, since that is how they are meant.
func (in installation) checkPorts(t *testing.T) {
	t.Helper()
	c := in.deployment.Spec.Template.Spec.Containers[0]
	has := func(port intstr.IntOrString) bool {
		return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == port.StrVal })
	}
	for _, p := range in.service.Spec.Ports {
		if !has(p.TargetPort) {
			t.Errorf("the service's port %s leads to %s, which is none", p.Name, p.TargetPort.String())
		}
		if p.TargetPort.StrVal == "admin" {
			t.Error("the service shows the admin port")
		}
	}
	for _, rule := range in.policy.Spec.Ingress {
		for _, p := range rule.Ports {
			if p.Port == nil || !has(*p.Port) {
				t.Errorf("the network policy lets in to %v, which is none", p.Port)
			}
			if p.Port != nil && p.Port.StrVal == "admin" && len(rule.From) == 0 {
				t.Error("everybody gets to the admin port")
			}
		}
	}
	for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		if !has(probe.HTTPGet.Port) {
			t.Errorf("a probe asks at %s, which is none", probe.HTTPGet.Port.String())
		}
	}
}

// TestChartRefuses: what is misspelt is not installed.
func TestChartRefuses(t *testing.T) {
	for name, values := range map[string]map[string]any{
		"an unknown mode":                {"mode": "sidecar"},
		"an unknown value":               {"replicas": 3},
		"an unknown value below":         {"drain": map[string]any{"delays": "10s"}},
		"a setting of another program":   {"settings": map[string]any{"REDIS_URL": "redis://x"}},
		"a port that only root may have": {"listeners": []any{map[string]any{"name": "http", "containerPort": 80, "servicePort": 80}}},
		"no secret":                      {"existingSecret": ""},
	} {
		if _, err := templated(values); err == nil {
			t.Errorf("%s is installed", name)
		}
	}
}

// TestServiceOfMeshes: the service that docs/meshes.md shows is one for Kubernetes, and its
// ports lead to the one that Gatewright's pods have for Envoys.
func TestServiceOfMeshes(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/meshes.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(page)
	if shown == nil {
		t.Fatal("docs/meshes.md shows no service")
	}
	service := installed(t, shown[1]).service
	ports := map[int32]string{}
	for _, c := range installed(t, kustomized(t, "../../kubernetes/overlays/judge")).deployment.Spec.Template.Spec.Containers {
		for _, p := range c.Ports {
			ports[p.ContainerPort] = p.Name
		}
	}
	if service == nil || len(service.Spec.Ports) != 2 {
		t.Fatalf("it is %+v", service)
	}
	for _, p := range service.Spec.Ports {
		if p.AppProtocol == nil || *p.AppProtocol != "kubernetes.io/h2c" || ports[p.TargetPort.IntVal] != "grpc" {
			t.Errorf("%s leads to port %v, of %v", p.Name, p.TargetPort, ports)
		}
	}
}
