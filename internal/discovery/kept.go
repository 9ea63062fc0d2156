package discovery

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/wholefile"
)

// kept is the file in which the endpoints that were known last of a source are kept.
type kept struct{ path, key string }

// keptEndpoints is what is in it.
type keptEndpoints struct {
	// Source is what was said of the source: another is never served in its stead.
	Source    string             `json:"source"`
	Endpoints []*config.Endpoint `json:"endpoints"`
}

func newKept(folder, key string) kept {
	sum := sha256.Sum256([]byte(key))
	return kept{filepath.Join(folder, hex.EncodeToString(sum[:8])+".json"), key}
}

func (k kept) save(endpoints []*config.Endpoint) error {
	content, err := json.MarshalIndent(keptEndpoints{k.key, endpoints}, "", "  ")
	if err != nil {
		return fmt.Errorf("keeping endpoints: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
		return fmt.Errorf("keeping endpoints: %w", err)
	}
	if err := wholefile.Write(k.path, content); err != nil {
		return fmt.Errorf("keeping endpoints: %w", err)
	}
	return nil
}

// load is what is kept, as far as it may be served by a config: others may have written
// to the folder.
func (k kept) load(c *config.Config) ([]*config.Endpoint, bool) {
	content, err := os.ReadFile(k.path)
	if err != nil {
		return nil, false
	}
	var read keptEndpoints
	if err := json.Unmarshal(content, &read); err != nil || read.Source != k.key {
		return nil, false
	}
	for _, e := range read.Endpoints {
		if e == nil || config.DiscoveredRule(e, c) != "" {
			return nil, false
		}
	}
	return read.Endpoints, true
}
