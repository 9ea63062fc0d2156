package config

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// mergeKeys writes out the merge keys (<<) of a tree, in place: each entry of the
// mappings that they name, but those whose keys the mapping has itself. Of two that
// are merged the first wins. What is merged in is an alias of where it stands, so
// that it is counted as one.
func mergeKeys(root *yaml.Node, r *report) {
	m := merger{report: r, done: map[*yaml.Node]bool{}, open: map[*yaml.Node]bool{}}
	m.node(root)
}

type merger struct {
	report *report
	// done are nodes whose merge keys are written out, open those that are at it.
	done, open map[*yaml.Node]bool
	merged     int
}

func (m *merger) node(n *yaml.Node) {
	if m.done[n] || m.open[n] {
		return
	}
	m.open[n] = true
	if n.Kind == yaml.AliasNode {
		m.node(n.Alias)
	}
	for _, child := range n.Content {
		m.node(child)
	}
	if n.Kind == yaml.MappingNode {
		m.mapping(n)
	}
	delete(m.open, n)
	m.done[n] = true
}

// mapping writes out the merge keys of one mapping, whose values are done.
func (m *merger) mapping(n *yaml.Node) {
	var own, merges []*yaml.Node
	has := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		has[key.Value] = true
		own = append(own, key, value)
	}
	for _, value := range merges {
		own = m.merge(own, has, target(value), value.Line)
	}
	n.Content = own
}

// merge adds what a merge key names: a mapping, or several in a list.
func (m *merger) merge(to []*yaml.Node, has map[string]bool, from *yaml.Node, line int) []*yaml.Node {
	switch {
	case from.Kind == yaml.MappingNode && !m.open[from]:
		for i := 0; i+1 < len(from.Content); i += 2 {
			key, value := from.Content[i], from.Content[i+1]
			if has[key.Value] || !m.room(line) {
				continue
			}
			has[key.Value] = true
			if value.Kind != yaml.AliasNode {
				value = &yaml.Node{Kind: yaml.AliasNode, Alias: value, Line: value.Line, Column: value.Column}
			}
			to = append(to, key, value)
		}
	case from.Kind == yaml.SequenceNode && !m.open[from]:
		for _, entry := range from.Content {
			if target(entry).Kind != yaml.MappingNode {
				m.report.add(Fault{Line: entry.Line, Rule: mergeRule})
				continue
			}
			to = m.merge(to, has, target(entry), line)
		}
	default:
		m.report.add(Fault{Line: line, Rule: mergeRule})
	}
	return to
}

const mergeRule = "a merge key (<<) must name a mapping that it does not stand in, or a list of such"

// room counts what merge keys stand for, and tells whether it may be taken in.
func (m *merger) room(line int) bool {
	m.merged++
	if m.merged == maxExpanded+1 {
		m.report.add(Fault{Line: line, Rule: fmt.Sprintf("the merge keys of the file stand for more than %d values", maxExpanded)})
		m.report.distrust(new(place))
	}
	return m.merged <= maxExpanded
}
