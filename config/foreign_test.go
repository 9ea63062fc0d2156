package config

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// another is a language of its own, whose levels contain each other.
type another struct {
	Name  string     `yaml:"name" required:"true"`
	Count odd        `yaml:"count"`
	Below []*another `yaml:"below" null:"true"`
}

// odd reads itself.
type odd int

func (o *odd) ReadNode(n *yaml.Node) string {
	if n.Value != "one" {
		return "must be one"
	}
	*o = 1
	return ""
}

func TestReadDocument(t *testing.T) {
	var got another
	d := ReadDocument("a.yaml", []byte(`
name: top
base: &base {name: base, count: one}
below:
  - <<: *base
    name: own
  - <<: [{name: first}, *base]
  - {name: empty, below: }
  - count: two
`), &got)
	if len(got.Below) != 4 || got.Below[0].Name != "own" || got.Below[0].Count != 1 || got.Below[1].Name != "first" || got.Below[1].Count != 1 {
		t.Errorf("got %+v: what is merged in gives way to what is there, and to what was merged before", got.Below)
	}
	at := d.Root().Key("below").Index(3)
	if d.Sound(at) || !d.Sound(d.Root().Key("below").Index(0)) || d.Line(at) != 9 {
		t.Errorf("the faulty one is on line %d, and passes for sound", d.Line(at))
	}
	d.Refuse(at.Key("count"), "is refused already")
	d.Refuse(d.Root().Key("name"), "must not be top")
	const want = `a.yaml:2: name: top, must not be top
a.yaml:3: base: unknown field, known: name, count, below
a.yaml:9: below[3].count: two, must be one
a.yaml:9: below[3].name: is missing`
	if got := d.Faults().Error(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestReadDocumentThatIsNone(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "a.yaml:1: the document is empty",
		"{":                 "a.yaml:1: YAML syntax",
		"name: a\n---\nb\n": "a.yaml:1: name: a, must be something\na.yaml:2: a second document begins here",
		"\xff":              "a.yaml:1: the file must be UTF-8",
	} {
		var got another
		d := ReadDocument("a.yaml", []byte(text), &got)
		d.Refuse(d.Root().Key("name"), "must be something")
		if faults := d.Faults(); len(faults) == 0 || !strings.HasPrefix(faults.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, faults, want)
		}
	}
}

// TestDepthOfDocumentsIsBounded: a language whose types contain themselves is not read for ever.
func TestDepthOfDocumentsIsBounded(t *testing.T) {
	var got another
	d := ReadDocument("a.yaml", []byte("name: a\nbelow: &x [{name: b, below: *x}, {name: c, below: *x}]\n"), &got)
	if faults := d.Faults(); len(faults) == 0 || !strings.Contains(faults.Error(), "nested too deep") {
		t.Errorf("got %v", faults)
	}
}

// TestReadTree: what was never text has faults without lines.
func TestReadTree(t *testing.T) {
	scalar := func(value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value} }
	var got another
	d := ReadTree("tree", &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		scalar("count"), scalar("two"), scalar("other"), scalar(""),
	}}, &got)
	if at := d.Root().Key("below").Index(2).Key("a b"); d.Line(at) != 0 || at.String() != `below[2]."a b"` {
		t.Errorf("%s on line %d", at, d.Line(at))
	}
	const want = `tree: count: two, must be one
tree: name: is missing
tree: other: unknown field, known: name, count, below`
	if got := d.Faults().Error(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
