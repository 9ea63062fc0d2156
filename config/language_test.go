package config

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// wholeLanguage is the example of the design, which uses every field. It is
// not part of the repository.
func wholeLanguage(t *testing.T) string {
	t.Helper()
	const file = "../../shared/gateway.example.yaml"
	if _, err := os.Stat(file); err != nil {
		t.Skip("the design's gateway.example.yaml is not beside this checkout: ", err)
	}
	return file
}

// notYet is all that the example asks for and that this version refuses.
var notYet = []string{
	"listeners[1].http3",
}

// TestWholeLanguageIsKnown: of the whole language, exactly what is not built
// is refused, and as such.
func TestWholeLanguageIsKnown(t *testing.T) {
	data, err := os.ReadFile(wholeLanguage(t))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	// The certificates that it names are those of testdata.
	_, err = ParseIn("testdata", "f.yaml", data)
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatalf("error is %v, want Faults", err)
	}
	for _, f := range faults {
		got = append(got, f.Path)
		if !strings.HasPrefix(f.Rule, "not yet supported: ") {
			t.Errorf("the example is faulty otherwise: %v", f)
		}
	}
	wantLines(t, got, notYet)
}

// TestSupportedLanguageLoads: the example without what is refused is the file
// in testdata, which loads.
func TestSupportedLanguageLoads(t *testing.T) {
	want, err := Load("testdata/example_supported.yaml")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(wholeLanguage(t))
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	root, top := document.Content[0], new(place)
	prune(t, root, top.key("listeners").index(1), "http3")

	pruned, err := yaml.Marshal(&document)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse("testdata/example_supported.yaml", pruned)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		differ(t, "config", reflect.ValueOf(got), reflect.ValueOf(want))
	}
}

// prune takes fields out of the mapping at a place.
func prune(t *testing.T, root *yaml.Node, at *place, fields ...string) {
	t.Helper()
	node, _ := at.find(root)
	for _, f := range fields {
		before := len(node.Content)
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == f {
				node.Content = append(node.Content[:i:i], node.Content[i+2:]...)
				break
			}
		}
		if len(node.Content) == before {
			t.Fatalf("the example has no %s", at.key(f))
		}
	}
}
