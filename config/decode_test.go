package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// decodeInto decodes YAML into a type of the test's own.
func decodeInto[T any](t *testing.T, text string) (T, Faults) {
	t.Helper()
	root, faults := readDocument("f.yaml", []byte(text))
	if faults != nil {
		t.Fatal(faults)
	}
	var out T
	r := newReport("f.yaml", root)
	d := &decoder{report: r, fields: map[reflect.Type][]field{}}
	d.value(root, reflect.ValueOf(&out).Elem(), new(place), field{})
	r.faults.sort()
	return out, r.faults
}

// TestDecodeNumbers: no supported field is a float64 yet, and the first one
// shall not find the decoder unready.
func TestDecodeNumbers(t *testing.T) {
	type numbers struct {
		Share float64 `yaml:"share"`
		Count int64   `yaml:"count"`
	}
	for _, c := range []struct {
		yaml  string
		want  numbers
		fault string
	}{
		{"share: 0.5", numbers{Share: 0.5}, ""},
		{"share: 1", numbers{Share: 1}, ""},
		{"share: 1e-3", numbers{Share: 0.001}, ""},
		{"share: .inf", numbers{}, "f.yaml:1: share: .inf, must be a finite number in decimal digits"},
		{"share: .nan", numbers{}, "f.yaml:1: share: .nan, must be a finite number in decimal digits"},
		{"share: 0x10", numbers{}, "f.yaml:1: share: 0x10, must be a finite number in decimal digits"},
		{"share: half", numbers{}, "f.yaml:1: share: half, must be a number, not a string"},
		{"count: -9223372036854775808", numbers{Count: -1 << 63}, ""},
		{"count: +7", numbers{Count: 7}, ""},
		{"count: 9223372036854775808", numbers{}, "f.yaml:1: count: 9223372036854775808, must be from -9223372036854775808 to 9223372036854775807"},
		{"count: 1e3", numbers{}, "f.yaml:1: count: 1e3, must be an integer, not a number with a fraction or an exponent"},
		{"count: 1_000", numbers{}, "f.yaml:1: count: 1_000, must be an integer in decimal digits"},
		{"count: 010", numbers{}, "f.yaml:1: count: 010, must be an integer in decimal digits"},
		{"count: \"7\"", numbers{}, "f.yaml:1: count: \"7\", must be an integer, not a string"},
		{"count: !!str 7", numbers{}, "f.yaml:1: count: 7, must be an integer, not a string"},
		{"count: 2001-01-01", numbers{}, "f.yaml:1: count: 2001-01-01, must be an integer, not a date"},
		{"count: {a: 1}", numbers{}, "f.yaml:1: count: must be an integer, not a mapping"},
	} {
		got, faults := decodeInto[numbers](t, c.yaml)
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.yaml, got, c.want)
		}
		if strings.TrimSpace(faults.Error()) != c.fault {
			t.Errorf("%s: faults are %q, want %q", c.yaml, faults, c.fault)
		}
	}
}

func TestDecodeRefusesAnUnknownType(t *testing.T) {
	type odd struct {
		Channel chan int `yaml:"channel"`
	}
	_, faults := decodeInto[odd](t, "channel: 1")
	if !strings.Contains(faults.Error(), "a type that the decoder does not know") {
		t.Errorf("faults are %v", faults)
	}
}

// TestTagsLieAboutNodes: an explicit tag does not make a list of a mapping.
func TestTagsLieAboutNodes(t *testing.T) {
	type lists struct {
		List []string          `yaml:"list"`
		Map  map[string]string `yaml:"map"`
		Text string            `yaml:"text"`
	}
	for _, text := range []string{"list: !!seq {a: b}", "map: !!map [a]", "text: !!str [a]", "text: !!str {a: b}", "list: !!map [a]", "map: !!set {a}"} {
		if _, faults := decodeInto[lists](t, text); len(faults) != 1 {
			t.Errorf("%s: faults are %v, want one", text, faults)
		}
	}
}

// TestModelTags holds the model to tags that the decoder understands, so that
// a slip of the pen in one is not a field that nobody can set.
func TestModelTags(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var visit func(t reflect.Type, check func(owner reflect.Type, f reflect.StructField))
	visit = func(typ reflect.Type, check func(reflect.Type, reflect.StructField)) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			visit(typ.Elem(), check)
		case reflect.Struct:
			if seen[typ] || typ == reflect.TypeFor[Rate]() || reflect.PointerTo(typ).Implements(reflect.TypeFor[NodeReader]()) {
				return
			}
			seen[typ] = true
			for i := range typ.NumField() {
				check(typ, typ.Field(i))
				if typ.Field(i).Tag.Get("yaml") != "-" { // what the file does not say
					visit(typ.Field(i).Type, check)
				}
			}
		default:
		}
	}
	visit(reflect.TypeFor[Config](), func(owner reflect.Type, f reflect.StructField) {
		name := f.Tag.Get("yaml")
		first, _ := strings.CutPrefix(name, "-")
		if name == "" || first != "" && strings.ToLower(first[:1]) != first[:1] {
			t.Errorf("%s.%s has the yaml tag %q", owner, f.Name, name)
		}
		for _, flag := range []string{"required", "secret", "text"} {
			if value, ok := f.Tag.Lookup(flag); ok && value != "true" {
				t.Errorf("%s.%s: %s:%q is not true", owner, f.Name, flag, value)
			}
		}
		if f.Tag.Get("required") != "" && f.Tag.Get("later") != "" {
			t.Errorf("%s.%s is required, and not yet supported", owner, f.Name)
		}
	})
	if len(seen) < 20 {
		t.Errorf("only %d structs were visited", len(seen))
	}
}

// TestSecretsAreNotShown breaks every rule there is for the fields that may
// hold a secret, and looks for it in what is said.
func TestSecretsAreNotShown(t *testing.T) {
	const canary = "canary1234567890"
	gateway := `
listeners: [{name: public, address: 0.0.0.0:8080}]
backends: {b: {endpoints: [10.0.0.5:80]}}
auth: {jwt: {main: {issuer: a, audiences: [a], jwks: %s}}}
routes: [{name: r, match: {path: /}, auth: public, to: [{backend: b}], request: {set: %s}, response: {set: %s}}]
`
	const jwks, set = `{file: testdata/good/keys.json}`, `{}`
	for _, content := range []string{
		fmt.Sprintf(gateway, `{inline: "`+canary+`"}`, set, set),
		fmt.Sprintf(gateway, `{inline: "`+canary+`\u0001"}`, set, set),
		fmt.Sprintf(gateway, `{inline: !tag `+canary+`}`, set, set),
		fmt.Sprintf(gateway, `{inline: [`+canary+`]}`, set, set),
		fmt.Sprintf(gateway, `{url: "https://user:`+canary+`@id.example.com/"}`, set, set),
		fmt.Sprintf(gateway, `{url: "https://user:`+canary+`%zz@id.example.com/"}`, set, set),
		fmt.Sprintf(gateway, `{url: "https://id.example.com/?token=`+canary+`#a"}`, set, set),
		fmt.Sprintf(gateway, jwks, `{A_B: `+canary+`}`, set),
		fmt.Sprintf(gateway, jwks, `{X-A: "`+canary+`\r\n"}`, set),
		fmt.Sprintf(gateway, jwks, `{X-A: !tag `+canary+`}`, set),
		fmt.Sprintf(gateway, jwks, `{X-A: [`+canary+`]}`, set),
		fmt.Sprintf(gateway, jwks, `{X-A: 1, X-A: `+canary+`}`, set),
		fmt.Sprintf(gateway, jwks, set, `{Host: `+canary+`}`),
		fmt.Sprintf(gateway, jwks, `{X-A: a}, add: {X-A: `+canary+`}`, set),
		fmt.Sprintf(gateway, jwks, set, `{}, add: {Host: `+canary+`}`),
	} {
		faults := faultsOf(t, content)
		if len(faults) == 0 {
			t.Errorf("no fault in %s", content)
		}
		if strings.Contains(faults.Error(), canary) {
			t.Errorf("the secret is shown: %v", faults)
		}
	}
}

// TestFaultsAreOneLineEach keeps what a file says from passing for a log's own
// lines.
func TestFaultsAreOneLineEach(t *testing.T) {
	for _, content := range []string{
		"\"a\\nf.yaml:1: b\": 1",
		"? [a, b]\n: 1",
		"routes: [{name: \"a\\nb\", \"\\e[31m\": 1, match: {path: \"/\\r\\n\"}, auth: \"x\\u2028\"}]",
		"backends: {\"a\\nb\": {endpoints: [\"\\0\"]}}",
		"routes: !\"a\\nb\" 1",
		"routes: *\u200b",
	} {
		for _, f := range faultsOf(t, content) {
			if strings.ContainsFunc(f.String(), unprintable) {
				t.Errorf("%q", f)
			}
		}
	}
}

func TestPlaceFinds(t *testing.T) {
	var document yaml.Node
	text := "a:\n  - b\n  - c: d\n    e:\n      f\nx: &x\n  y: 1\nz: *x\n"
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	root := new(place)
	for _, c := range []struct {
		at    *place
		path  string
		line  int
		value string // "" where there is no node
	}{
		{root.key("a"), "a", 1, "[]"},
		{root.key("a").index(0), "a[0]", 2, "b"},
		{root.key("a").index(1).key("c"), "a[1].c", 3, "d"},
		{root.key("a").index(1).key("e"), "a[1].e", 4, "f"},
		{root.key("a").index(1).key("no").key("more"), "a[1].no.more", 3, ""},
		{root.key("a").index(7), "a[7]", 1, ""},
		{root.key("a").key("b"), "a.b", 1, ""},
		{root.key("x").index(0), "x[0]", 6, ""},
		{root.key("z").key("y"), "z.y", 7, "1"},
		{root.key("z"), "z", 8, "{}"},
		{root.key("a.b").key(""), `"a.b".""`, 1, ""},
	} {
		node, line := c.at.find(document.Content[0])
		got := ""
		if node != nil {
			got = map[yaml.Kind]string{yaml.SequenceNode: "[]", yaml.MappingNode: "{}", yaml.ScalarNode: target(node).Value}[target(node).Kind]
		}
		if line != c.line || got != c.value || c.at.String() != c.path {
			t.Errorf("%s is %q on line %d, want %s, %q, line %d", c.at, got, line, c.path, c.value, c.line)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"endpoints", "protocol", "loadBalancing", "5xx", "GET"}
	for name, want := range map[string]string{
		"endpoint": "endpoints", "ENDPOINTS": "endpoints", "endpionts": "endpoints", "end_points": "endpoints",
		"loadbalancer": "loadBalancing", "protocl": "protocol", "5x": "5xx", "get": "GET",
		"weight": "", "": "", "POST": "", strings.Repeat("endpoints", 20): "",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abcd", "bcd", 1}, {"kitten", "sitting", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance of %q and %q is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
