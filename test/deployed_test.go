package test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/gatewright/gatewright/config"
)

// TestDeployedSettings: what files and documents set is a setting.
func TestDeployedSettings(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(filepath.Join(binaries, "gatewright"), "environment").Output()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		known[strings.Fields(line)[0]] = true
	}
	if len(known) < 40 {
		t.Fatalf("only %d settings are known", len(known))
	}
	files := []string{"../docker-compose.yaml", "../Dockerfile"}
	for _, folder := range []string{"../deploy", "../docs"} {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && regexp.MustCompile(`\.(yaml|yml|md|tpl|env)$`).MatchString(path) && !strings.Contains(path, "decisions") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\bGATEWRIGHT_[A-Z_]*[A-Z]\b`).FindAllString(string(text), -1) {
			if !known[m] && !strings.HasPrefix(m, "GATEWRIGHT_TEST_") {
				t.Errorf("%s sets %s, which is none", file, m)
			}
		}
	}
}

// TestDeployedConfigs: the configs that are deployed have no fault.
func TestDeployedConfigs(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../deploy/kubernetes/*/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../deploy/kubernetes/*/*/gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files = append(append(files, more...), "../deploy/compose/gateway.yaml", "../examples/quickstart/gateway.yaml")
	if len(files) != 4 {
		t.Fatalf("%d files are found: %q", len(files), files)
	}
	for _, file := range files {
		if _, err := config.Load(file); err != nil {
			t.Error(err)
		}
	}
	text, err := os.ReadFile("../deploy/helm/gatewright/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values struct{ Config string }
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Parse("values.yaml", []byte(values.Config)); err != nil {
		t.Errorf("the chart's config: %v", err)
	}
}
