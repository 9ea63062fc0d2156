package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// place is where a value stands in a document: the steps that lead to it. The
// zero place is the document itself.
//
// A place costs nothing but its steps. Its line is looked up in the YAML tree,
// and only when there is a fault to report.
type place struct {
	in    *place // nil for the document
	name  string // the key in a mapping
	entry int    // the index in a list, where isEntry
	// isEntry tells an entry of a list from a value in a mapping.
	isEntry bool
}

// key is the place of the value under a key of the mapping at p.
func (p *place) key(name string) *place { return &place{in: p, name: name} }

// index is the place of an entry of the list at p.
func (p *place) index(i int) *place { return &place{in: p, entry: i, isEntry: true} }

// String is the path as faults show it. A key that is not a plain word is
// quoted, so that a dot in it does not pass for a step.
func (p *place) String() string {
	switch {
	case p.in == nil:
		return ""
	case p.isEntry:
		return fmt.Sprintf("%s[%d]", p.in, p.entry)
	case p.in.in == nil:
		return shownKey(p.name)
	default:
		return p.in.String() + "." + shownKey(p.name)
	}
}

func shownKey(key string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	if key != "" && len(key) <= maxShown && strings.Trim(key, plain) == "" {
		return key
	}
	return quoted(key)
}

// find is the node at p, and the line that p is reported at: a key's own line,
// because that is where a reader looks. Without a node at p, the node is nil
// and the line is that of the nearest place above.
func (p *place) find(root *yaml.Node) (*yaml.Node, int) {
	if p.in == nil {
		return root, root.Line
	}
	parent, line := p.in.find(root)
	if parent == nil {
		return nil, line
	}
	parent = target(parent)
	if p.isEntry {
		if parent.Kind != yaml.SequenceNode || p.entry >= len(parent.Content) {
			return nil, line
		}
		entry := parent.Content[p.entry]
		return entry, entry.Line
	}
	if key, value := child(parent, p.name); key != nil {
		return value, key.Line
	}
	return nil, line
}

// child is the first entry of a mapping with the key, or nil.
func child(mapping *yaml.Node, name string) (key, value *yaml.Node) {
	if mapping.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}

// target is what an alias stands for, and any other node itself. YAML has no
// alias of an alias.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
