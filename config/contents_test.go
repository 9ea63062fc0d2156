package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeptContents: a file whose content is a part of the config and that is gone,
// or bad, is served as it was; what never was good is a fault.
func TestKeptContents(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "orders.pb")
	good := read(t, "testdata/orders.pb")
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const text = `
listeners: [{name: public, address: 0.0.0.0:8080}]
backends: {orders: {endpoints: [10.0.0.5:80], protocol: grpc}}
routes:
- {name: a, match: {path: /api/v1/orders}, auth: public, to: [{backend: orders}], grpcTranscode: {descriptor: orders.pb, services: [shop.v1.Orders]}}
- {name: b, match: {path: /api/v1/fail/**}, auth: public, to: [{backend: orders}], grpcTranscode: {descriptor: orders.pb, services: [shop.v1.Orders]}}
`
	var named []string
	parse := func(kept map[string][]byte) (*Config, error) {
		return ParseBeside(folder, "f.yaml", []byte(text), Beside{
			Kept: func(path string) []byte { return kept[path] },
			Read: func(path string, most int) ([]byte, error) {
				named = append(named, path)
				return ReadContent(path, most)
			},
		})
	}
	if _, err := parse(nil); err == nil || strings.Count(err.Error(), "must be a file that is there") != 2 {
		t.Errorf("a file that is not there: %v", err)
	}
	if len(named) != 1 || named[0] != path {
		t.Errorf("read: %q", named)
	}
	write(good)
	c, err := parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Contents) != 1 || c.Contents[0].Fault != nil || !bytes.Equal(c.Contents[0].Data, good) || c.Routes[0].GRPCTranscode.Set != c.Routes[1].GRPCTranscode.Set {
		t.Errorf("contents: %d, %v", len(c.Contents), c.Contents[0].Fault)
	}
	kept := map[string][]byte{path: good}
	for what, spoil := range map[string]func(){
		"bad":       func() { write([]byte("half a f")) },
		"gone":      func() { os.Remove(path) },
		"too large": func() { write(make([]byte, 17<<20)) },
	} {
		spoil()
		if _, err := parse(nil); err == nil {
			t.Errorf("%s, and never good: taken", what)
		}
		c, err := parse(kept)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		} else if len(c.Contents) != 1 || c.Contents[0].Fault == nil || !bytes.Equal(c.Contents[0].Data, good) {
			t.Errorf("%s: %v", what, c.Contents[0].Fault)
		}
		if _, err := parse(map[string][]byte{path: []byte("another fault")}); err == nil {
			t.Errorf("%s, and what is kept as well: taken", what)
		}
	}
}
