package config

import (
	"os"
	"reflect"
	"testing"
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

// TestWholeLanguageLoads: all of the example is built, and it says what the file in
// testdata does, whose certificates are those that it names.
func TestWholeLanguageLoads(t *testing.T) {
	want, err := Load("testdata/example_supported.yaml")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(wholeLanguage(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseIn("testdata", "testdata/example_supported.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		differ(t, "config", reflect.ValueOf(got), reflect.ValueOf(want))
	}
}
