package check

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	helm "helm.sh/helm/v4/pkg/cmd"
	kubectl "k8s.io/kubectl/pkg/cmd"
)

// offline is the variable that has the programs below do what can be done without a
// cluster.
const offline = "CHECK_OFFLINE"

// TestMain is kubectl or Helm where this binary is called by such a name: shells that run
// what the documents say find it under both (programs).
func TestMain(m *testing.M) {
	name := filepath.Base(os.Args[0])
	if os.Getenv(offline) != "" {
		os.Args = withoutCluster(name, os.Args)
	}
	switch name {
	case "kubectl":
		exit(kubectl.NewDefaultKubectlCommand().Execute())
	case "helm":
		command, err := helm.NewRootCmd(os.Stdout, os.Args[1:], helm.SetupLogging)
		if err == nil {
			err = command.Execute()
		}
		exit(err)
	}
	os.Exit(m.Run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// withoutCluster is the command that does as much of another as can be done without a
// cluster: what is created is made and shown, and so is what a folder for Kustomize and a
// chart come to.
func withoutCluster(program string, args []string) []string {
	switch {
	case program == "kubectl" && slices.Contains(args, "create"):
		return append(args, "--dry-run=client", "-o", "yaml")
	case program == "kubectl" && slices.Contains(args, "apply"):
		if i := slices.Index(args, "-k"); i > 0 && i+1 < len(args) {
			return []string{args[0], "kustomize", args[i+1]}
		}
		if i := slices.Index(args, "-f"); i > 0 && i+1 < len(args) { // what is in the file, with a label that says so
			return []string{args[0], "label", "--local", "-f", args[i+1], "-o", "yaml", "applied=yes"}
		}
		return args // it will look for its cluster, and say so
	case program == "helm" && slices.ContainsFunc(args, isInstall):
		args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return arg == "--reuse-values" }) // there are none but the chart's
		args[slices.IndexFunc(args, isInstall)] = "template"
		return append(args, "--kube-version=1.37") // there is none to ask
	}
	return args
}

func isInstall(arg string) bool { return arg == "install" || arg == "upgrade" }

// programs makes a folder with kubectl and Helm in it.
func programs(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"kubectl", "helm"} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestWithoutCluster: what is run in the place of what needs a cluster.
func TestWithoutCluster(t *testing.T) {
	for line, want := range map[string]string{
		"kubectl -n a create namespace b": "kubectl -n a create namespace b --dry-run=client -o yaml",
		"kubectl apply -k a/b":            "kubectl kustomize a/b",
		"kubectl apply -f a.yaml":         "kubectl label --local -f a.yaml -o yaml applied=yes",
		"kubectl apply a":                 "kubectl apply a",
		"helm install a b -n c":           "helm template a b -n c --kube-version=1.37",
		"helm upgrade a b --reuse-values": "helm template a b --kube-version=1.37",
		"helm template a b":               "helm template a b",
		"kubectl get pods":                "kubectl get pods",
	} {
		args := strings.Fields(line)
		if got := strings.Join(withoutCluster(args[0], args), " "); got != want {
			t.Errorf("%s becomes %s, want %s", line, got, want)
		}
	}
}
