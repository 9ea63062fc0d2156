package config

import (
	"errors"
	"os"
	"testing"
)

// FuzzParse: whatever a file holds, Parse returns a valid config or says what
// is wrong with it and where, and does not panic. What is valid is so again.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml", "testdata/*.yaml"} {
		for _, file := range glob(f, pattern) {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := Parse("f.yaml", data)
		if err == nil {
			cfg.RoutesBySpecificity()
			if _, err := Parse("f.yaml", data); err != nil {
				t.Fatalf("valid once, and not again: %v", err)
			}
			return
		}
		var faults Faults
		if !errors.As(err, &faults) || len(faults) == 0 || cfg != nil {
			t.Fatalf("config %v, error %v: want either a config or faults", cfg, err)
		}
		for _, fault := range faults {
			if fault.Line < 1 || fault.Rule == "" {
				t.Errorf("a fault without a line or a rule: %+v", fault)
			}
		}
	})
}
