package test

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/gatewright/gatewright/config"
)

// TestEnvoyTakesWhatCheckTakes, at the edges of the rules that exist because it
// would not take more.
func TestEnvoyTakesWhatCheckTakes(t *testing.T) {
	t.Parallel()
	p := startPoisoned(t)
	classes := `\p{Any}`
	for _, known := range []map[string]*unicode.RangeTable{unicode.Categories, unicode.Scripts} {
		for name := range known {
			if _, err := config.CompileExpression(`\p{` + name + `}`); err == nil {
				classes += `\p{` + name + `}`
			}
		}
	}
	value := strings.Repeat("%", 8000)
	for _, edge := range []string{
		"match: {path: /edge, headers: {A: {regex: '" + classes + "'}}}, respond: {status: 200}",
		"match: {path: /edge, headers: {A: {regex: '" + strings.Repeat("a{1000}", 99) + "'}}}, respond: {status: 200}",
		"match: {path: /edge, query: {a: {regex: '" + strings.Repeat(`\W{1000}`, 9) + "'}}}, respond: {status: 200}",
		"match: {path: '/" + strings.Repeat("a/", 3996) + "{x}" + "'}, respond: {status: 200}",
		"match: {path: \"" + manyVariables(8000) + "\"}, respond: {status: 200}",
		"match: {path: /edge}, to: [{backend: app, request: {set: {" + numbered(250, "A-%d: a") + "}}}], request: {set: {" + numbered(125, "B-%d: a") +
			"}, add: {" + numbered(125, "C-%d: a") + "}}, response: {add: {" + numbered(250, "D-%d: a") + "}}, cors: {origins: ['*']}",
		"match: {path: /edge}, respond: {status: 200, headers: {" + numbered(250, "A-%d: a") + "}}, response: {set: {" + numbered(250, "B-%d: a") + "}}",
		"match: {path: /edge}, to: [{backend: app}], request: {set: {X-A: '" + value + "', ? " + strings.Repeat("N", 256) + " : '" + value + "'}}",
		"match: {path: /edge}, respond: {status: 200, body: " + strings.Repeat("a", 4096) + ", headers: {X-A: '" + value + "'}}",
	} {
		text := p.text
		p.text += "  - {name: edge, auth: public, " + edge + "}\n"
		p.goOn()
		p.wantStatus("applied", "")
		p.text = text
	}
	refusals := only(p.metrics(), "gatewright_xds_nacks_total")
	for line := range strings.Lines(refusals) {
		if !strings.HasSuffix(line, " 0\n") {
			t.Error(line)
		}
	}
	if refusals == "" {
		t.Error("refusals are not counted")
	}
}

// manyVariables is a path of variables alone.
func manyVariables(bytes int) string {
	var b strings.Builder
	for i := 0; ; i++ {
		next := fmt.Sprintf("/{v%d}", i)
		if b.Len()+len(next) > bytes {
			return b.String()
		}
		b.WriteString(next)
	}
}
