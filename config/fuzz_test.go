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

// FuzzParseEndpoints: whatever is in a file of endpoints, it has faults, or endpoints that
// may be served.
func FuzzParseEndpoints(f *testing.F) {
	f.Add("endpoints:\n  - 10.0.0.5:8080\n  - {address: \"10.0.0.6:8080\", weight: 3, zone: eu-1a, priority: 1}\n")
	f.Add("endpoints: []\n")
	f.Add("endpoints: [a:b]\n")
	cfg := &Config{Listeners: []*Listener{{Name: "public", Address: "127.0.0.1:8080"}}}
	f.Fuzz(func(t *testing.T, text string) {
		endpoints, err := ParseEndpoints("endpoints.yaml", []byte(text), cfg)
		if err != nil {
			return
		}
		for _, e := range endpoints {
			if rule := DiscoveredRule(e, cfg); rule != "" {
				t.Errorf("%s is served: %s", e.Address, rule)
			}
		}
	})
}
