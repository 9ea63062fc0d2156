package jsontemplate

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func facts() Facts {
	return Facts{
		Method: "POST", Host: "shop.example.com", Path: "/orders", Query: "a=1",
		Headers: func() map[string]string { return map[string]string{"x-shop": "7"} },
		Claims:  map[string]string{"sub": "alice"}, User: "alice", Tenant: "acme",
		Status: 201, AnswerHeaders: func() map[string]string { return map[string]string{"etag": "v1"} },
	}
}

func apply(t *testing.T, template, body string) (string, error) {
	t.Helper()
	c, err := Compile(template, Response)
	if err != nil {
		t.Fatalf("%s: %v", template, err)
	}
	out, err := c.Apply([]byte(body), facts(), 1<<16)
	return string(out), err
}

// TestTemplates: what they make, and that they leave alone what they do not name.
func TestTemplates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ template, body, want string }{
		// Whatever JSON has stays what it is.
		{"${body}", `{"z":1,"a":[true,null,"x"],"m":{"y":2,"b":3}}`, `{"z":1,"a":[true,null,"x"],"m":{"y":2,"b":3}}`},
		{"${body}", "[12345678901234567890,9223372036854775807,-9223372036854775808,9223372036854775808]", "[12345678901234567890,9223372036854775807,-9223372036854775808,9223372036854775808]"},
		{"${body}", "[123456789012345678901234567890,1.10,0.1,1e400,1E5,-0,-0.0,1.0,0]", "[123456789012345678901234567890,1.10,0.1,1e400,1E5,-0,-0.0,1.0,0]"},
		{"${body}", `"\u00e9\ud83d\ude00é😀<b>&\u0000\u2028"`, `"é😀é😀<b>&\u0000\u2028"`},
		{`{"n":"${body.n}","x":{"l":"${body.l[0]}"}}`, `{"n":12345678901234567890,"l":[1.50]}`, `{"n":12345678901234567890,"x":{"l":1.50}}`},
		// Texts, and texts with something in them.
		{`{"z":"${body.first} ${body.last}","a":"$${x} costs $5","e":""}`, `{"first":"Ann","last":"Lee"}`, `{"z":"Ann Lee","a":"${x} costs $5","e":""}`},
		{`"${body.i}|${body.d}|${body.b}|${body.?gone}|${1.5}"`, `{"i":7,"d":1.10,"b":true}`, `"7|1.10|true||1.5"`},
		{`{"q":"${body.a == '}' ? {'k': '{'} : {'k': \"\\\"\"}}"}`, `{"a":"}"}`, `{"q":{"k":"{"}}`},
		// What may be missing.
		{`{"a":"${body.?a}","b":"${body.?b.orValue('none')}","c":["${body.?c}",1,"${body.?a}"]}`, `{"a":1}`, `{"a":1,"b":"none","c":[1,1]}`},
		{`{"a":"${body.?x.?y}"}`, `{}`, `{}`},
		{`{"a":"${has(body.a) ? body.a : null}"}`, `{}`, `{"a":null}`},
		// Objects.
		{"${merge(body, {'tenant': caller.tenant})}", `{"z":1.10,"tenant":"evil","a":2}`, `{"z":1.10,"tenant":"acme","a":2}`},
		{"${without(body, ['password', 'x'])}", `{"z":1,"password":"p","a":2}`, `{"z":1,"a":2}`},
		{"${only(body, ['a', 'z', 'q'])}", `{"z":1,"password":"p","a":2}`, `{"z":1,"a":2}`},
		{"${body.items.map(i, {'n': i.name, 'id': i.id})}", `{"items":[{"id":18446744073709551616,"name":"x"}]}`, `[{"id":18446744073709551616,"n":"x"}]`},
		{"${body.items.filter(i, i.ok).map(i, without(i, ['ok']))}", `{"items":[{"z":1,"ok":true,"b":2},{"ok":false}]}`, `[{"z":1,"b":2}]`},
		{"${body == {'a': 1, 'b': [2]}}", `{"b":[2],"a":1}`, `true`},
		{"${body.map(k, k)}", `{"z":1,"a":2}`, `["z","a"]`},
		// Numbers that are calculated with.
		{"${[body.a + 1, body.u + 1u]}", `{"a":9007199254740993,"u":9223372036854775808}`, `[9007199254740994,9223372036854775809]`},
		{"${double(body.p) * 2.0}", `{"p":1.10}`, `2.2`},
		{"${double(body.p) < 10.0 && string(body.p) == '1.10' && int(body.p) == 1}", `{"p":1.10}`, `true`},
		{"${body.a == body.b && body.a != body.c}", `{"a":1.10,"b":1.10,"c":1.1}`, `true`},
		// What is known beside the body.
		{`["${claims.sub}","${claims.?no}","${caller.user}","${request.method}","${request.path}","${request.host}","${request.query}","${request.headers['x-shop']}","${response.status}","${response.headers.etag}"]`, `1`,
			`["alice","alice","POST","/orders","shop.example.com","a=1","7",201,"v1"]`},
		{`{"list":[1,2.50,{"x":null}],"t":true}`, `0`, `{"list":[1,2.50,{"x":null}],"t":true}`},
		{"${body.name.lowerAscii().trim().replace(' ', '-').split('-')}", `{"name":" A b C "}`, `["a","b","c"]`},
	} {
		got, err := apply(t, c.template, c.body)
		if err != nil || got != c.want {
			t.Errorf("%s\n of %s\n is %s, %v\nwant %s", c.template, c.body, got, err, c.want)
		}
	}
}

// TestWhatIsNoJSON, or is another thing to another reader, is refused.
func TestWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"":                          "malformed",
		"{":                         "malformed",
		`{"a":1,}`:                  "malformed",
		`{'a':1}`:                   "malformed",
		`[1,2`:                      "malformed",
		`{"a":1}{"b":2}`:            "something stands behind",
		`{"a":1} x`:                 "something stands behind",
		`{"a":1,"b":2,"a":3}`:       "twice",
		`{"a":1,"\u0061":3}`:        "twice",
		"{\"a\":\"\xff\"}":          "UTF-8",
		`"\ud800"`:                  "surrogate",
		`"\ude00\ud83d"`:            "surrogate",
		`"\ud83dx"`:                 "surrogate",
		`{"\ud83d":1}`:              "surrogate",
		`[01]`:                      "malformed",
		`[+1]`:                      "malformed",
		`[NaN]`:                     "malformed",
		`[.5]`:                      "malformed",
		strings.Repeat("[", 100000): "nest deeper",
		strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65): "nest deeper",
	} {
		_, err := apply(t, "${body}", body)
		var fault *Fault
		if !errors.As(err, &fault) || fault.Kind != NotJSON || !strings.Contains(fault.Rule, want) {
			t.Errorf("%.60s: %v, want %q", body, err, want)
		}
	}
	if got, err := apply(t, "${body}", `"\\ud800 \\\\ud83d \ud83d\uDE00"`); err != nil || got != `"\\ud800 \\\\ud83d 😀"` {
		t.Errorf("what only looks like a surrogate: %s, %v", got, err)
	}
}

// TestWhatDoesNotFit is told without a value of the body.
func TestWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	many := "[" + strings.Repeat("1,", 999) + "1]"
	for _, c := range []struct{ template, body, want string }{
		{"${body.secret.x}", `{"secret":"hunter2"}`, "lacks what the template asks for: \"x\""},
		{"${body.a}", `{}`, `lacks what the template asks for: "a"`},
		{"${body['" + strings.Repeat("n", 70) + "']}", `{}`, "…"},
		{"${body.?a}", `{}`, "has nothing"},
		{"${body.a + 1}", `{"a":"hunter2"}`, "another type"},
		{"${int(body.a)}", `{"a":"hunter2"}`, "another type"},
		{"${body.a + 1}", `{"a":1.5}`, "another type"},
		{`"x ${body.a}"`, `{"a":["hunter2"]}`, "another type"},
		{"${double(body.a)}", `{"a":1e400}`, "another type"},
		{"${double(body.a) * 1e300}", `{"a":1e300}`, "another type"},
		{"${{1: 2}}", `0`, "another type"},
		{"${timestamp('2020-01-01T00:00:00Z')}", `0`, "another type"},
		{"${body.map(i, body.map(j, i + j))}", many, "takes too long"},
		{"${body.map(i, body)}", many, "becomes larger than 65536 bytes"},
		{`["${body}","${body}","${body}"]`, `"` + strings.Repeat("x", 30000) + `"`, "becomes larger"},
		{`"${body}${body}${body}"`, `"` + strings.Repeat("x", 30000) + `"`, "becomes larger"},
		{"${body.filter(i, body == body)}", many, "takes too long"},
		{"${body.filter(i, i in body)}", "[" + strings.Repeat("[1,2,3],", 999) + "1]", "takes too long"},
		{"${body.map(i, merge(body[0], i))}", `[` + strings.Repeat(`{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7},`, 4999) + `{}]`, "takes too long"},
	} {
		_, err := apply(t, c.template, c.body)
		var fault *Fault
		if !errors.As(err, &fault) || fault.Kind != NotFitting || !strings.Contains(fault.Rule, c.want) || strings.Contains(fault.Rule, "hunter2") {
			t.Errorf("%s of %.60s: %v, want %q", c.template, c.body, err, c.want)
		}
	}
}

// TestBadTemplates are refused when they are compiled.
func TestBadTemplates(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]string{
		"":                              "must be JSON",
		"{":                             "malformed",
		`{"a":1,"a":2}`:                 "twice",
		`{"${body.a}":1}`:               "at /${body.a}: must not have ${…} in a name",
		`{"a":{"b/c":"${body.}"}}`:      "at /a/b~1c: must be an expression in CEL",
		`{"a":["x","${nobody}"]}`:       "at /a/1: must be an expression in CEL: line 1, column 1: undeclared reference to 'nobody'",
		`"${body.a"`:                    "has a ${ without its }",
		"${body.a} ${body.b}":           "must be JSON, or one ${…} alone",
		"${body.a} x":                   "must be JSON, or one ${…} alone",
		"${claims}":                     "must name the claims",
		"${claims[body.a]}":             "must name the claims",
		"${request.path + 1}":           "no matching overload",
		"${body.a.matches(body.b)}":     "must have the expression of matches() as a text",
		"${body.a.matches('(')}":        "regular expression (RE2)",
		"${body.l.join(',')}":           "must not use join()",
		"${'%s'.format([body])}":        "must not use format()",
		"${body.a.replace(body.b, '')}": "must have texts in replace()",
		"${body.a.replace('', 'x')}":    "must have texts in replace()",
		"${body.a == 1.5}":              "must say double(…)",
		"${1.5 < body.a}":               "must say double(…)",
		"${body.map(a, body.map(b, body.map(c, 1)))}":          "nest",
		"[" + strings.Repeat(`"${body}",`, 100) + `"${body}"]`: "at most 100 expressions",
		"${'" + strings.Repeat("x", MaxText) + "'}":            "at most 8192 bytes",
	} {
		if _, err := Compile(template, Response); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", template, err, want)
		}
	}
	if _, err := Compile("${response.status}", Request); err == nil {
		t.Error("a request knows its answer")
	}
}

// TestReads: what has to be found out before a template can be applied.
func TestReads(t *testing.T) {
	t.Parallel()
	c, err := Compile(`{"a":"${claims.sub}","b":"${claims.?x.orValue('') + claims['y-z']}","c":"${has(claims.q)}","d":"${body.claims}","e":"${claims.sub}"}`, Request)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Reads().Claims, " "); got != "q sub x y-z" || c.Reads().User || c.Reads().Tenant || c.Reads().Request {
		t.Errorf("claims %s", got)
	}
	c, err = Compile(`"${caller.user} ${caller.tenant} ${request.headers['a']}"`, Request)
	if err != nil || !c.Reads().User || !c.Reads().Tenant || !c.Reads().Request || c.Reads().Claims != nil {
		t.Errorf("%v", err)
	}
}

// FuzzApply: whatever comes, the result is JSON within its bound, or a fault; and what
// is handed on as it is means what it meant.
func FuzzApply(f *testing.F) {
	for _, body := range []string{`{"a":1.10,"b":[12345678901234567890,{"c":"\ud83d\ude00"}],"items":[{"id":1,"ok":true}]}`, `{"a":1,"a":2}`, `"\ud800"`, `[-0,1e400]`, `{"items":[{}],"name":"x"}`, "", "nul"} {
		f.Add([]byte(body))
	}
	var templates []*Template
	for _, text := range []string{
		"${body}", `{"x":"${body.?a}","y":["${body.?b}","${body.?items}"],"z":"a ${body.?name} b"}`,
		"${merge(without(body, ['a']), {'added': request.path})}", "${body.items.filter(i, i.?ok.orValue(false)).map(i, {'id': i.id})}",
		"${[body, body, [body]]}", "${double(body.a) * 2.0}", "${only(body, ['a'])}",
	} {
		t, err := Compile(text, Request)
		if err != nil {
			f.Fatal(err)
		}
		templates = append(templates, t)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for i, template := range templates {
			out, err := template.Apply(body, facts(), 4096)
			var fault *Fault
			switch {
			case err != nil && (!errors.As(err, &fault) || fault.Rule == ""):
				t.Fatalf("%v", err)
			case err == nil && (!json.Valid(out) || len(out) > 4096):
				t.Fatalf("%q became %q", body, out)
			case err == nil && i == 0:
				again, err := template.Apply(out, facts(), 4096)
				if err != nil || string(again) != string(out) {
					t.Fatalf("%q, and again %q, %v", out, again, err)
				}
				same(t, body, out)
			}
		}
	})
}

// same tells whether two texts are the same JSON, to the digit.
func same(t *testing.T, a, b []byte) {
	t.Helper()
	decoded := func(data []byte) string {
		d := json.NewDecoder(strings.NewReader(string(data)))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		out, _ := json.Marshal(v)
		return string(out)
	}
	if x, y := decoded(a), decoded(b); x != y {
		t.Fatalf("%s became %s", x, y)
	}
}
