package config

import (
	"go.yaml.in/yaml/v3"
)

// Document is a file in another language than the gateway's own, read as
// strictly: by types with the tags of the model, every fault with its place.
// Unlike the gateway's own files it may have merge keys.
type Document struct{ report *report }

// ReadDocument reads the only document of a file into out, which points to a
// struct. What is wrong with it is in the Document, and what could be read is in out
// either way. file stands in faults.
func ReadDocument(file string, data []byte, out any) *Document {
	root, faults := readDocument(file, data)
	if root == nil {
		root = &yaml.Node{Kind: yaml.MappingNode, Line: 1}
		r := newReport(file, root)
		r.faults = faults
		r.distrust(new(place)) // nothing is missing where nothing was read
		return &Document{report: r}
	}
	r := newReport(file, root)
	r.faults = faults
	mergeKeys(root, r)
	fill(out, root, r)
	return &Document{report: r}
}

// ReadTree is ReadDocument of a tree that was never written as text: its faults have no
// line, where its nodes have none. It has neither aliases nor merge keys.
func ReadTree(name string, root *yaml.Node, out any) *Document {
	r := newReport(name, root)
	fill(out, root, r)
	return &Document{report: r}
}

// Root is the place of the whole document.
func (d *Document) Root() Place { return Place{new(place)} }

// Refuse reports that the value at a place breaks a rule, unless decoding has
// refused it already.
func (d *Document) Refuse(at Place, rule string) {
	if !d.report.full() && d.report.trusted(at.at) {
		d.report.refuse(at.at, rule)
	}
}

// Sound tells whether decoding has refused neither what stands at a place nor anything
// in it or above it.
func (d *Document) Sound(at Place) bool { return !d.report.full() && d.report.trusted(at.at) }

// Line is where a place stands in the file; 0 where there are no lines.
func (d *Document) Line(at Place) int {
	_, line := at.at.find(d.report.root)
	return line
}

// Faults are all that was reported, by line.
func (d *Document) Faults() Faults {
	faults, _ := d.report.err().(Faults)
	return faults
}

// Place is where a value stands in a Document.
type Place struct{ at *place }

// Key is the place of the value under a key of the mapping at p.
func (p Place) Key(name string) Place { return Place{p.at.key(name)} }

// Index is the place of an entry of the list at p.
func (p Place) Index(i int) Place { return Place{p.at.index(i)} }

// String is the path as faults show it.
func (p Place) String() string { return p.at.String() }

// OneOfRule is the rule that a word breaks which must be one of those known.
func OneOfRule(word string, known []string) string {
	return (&checker{}).choiceRule(word, known)
}

// Quoted is a value as faults show it in their rules: in quotes, and cut to a bounded length.
func Quoted(value string) string { return quoted(value) }
