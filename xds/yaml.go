package xds

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"
)

// YAML renders the resources for people: one document, by type and name, in
// an order that does not change, without private keys.
func (r Resources) YAML() ([]byte, error) {
	doc := map[string]map[string]any{}
	for t, byName := range r {
		section := map[string]any{}
		for name, res := range byName {
			j, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(shownMessage(res.Message))
			if err != nil {
				return nil, fmt.Errorf("rendering %s %q: %w", shortType(t), name, err)
			}
			var v any
			if err := yaml.Unmarshal(j, &v); err != nil {
				return nil, fmt.Errorf("rendering %s %q: %w", shortType(t), name, err)
			}
			section[name] = v
		}
		doc[shortType(t)] = section
	}
	out, err := yaml.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("rendering the resources: %w", err)
	}
	return out, nil
}
