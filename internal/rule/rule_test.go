package rule

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
)

// facts are those of one caller of each kind.
func facts() *Facts {
	return &Facts{
		Method: "GET", Host: "api.example.com", Path: "/users/7", Query: "a=1&b=x%20y&a=2&flag",
		Headers: func() map[string]string { return map[string]string{"x-plan": "gold", "accept": "a,b"} },
		Claims: map[string]any{
			"tier": "gold", "level": json.Number("7"), "ratio": json.Number("0.5"), "admin": true, "none": nil,
			"big": json.Number("18446744073709551615"), "huge": json.Number("18446744073709551616"), "exp": json.Number("1e3"),
			"roles": []any{"buyer", "admin"}, "realm_access": map[string]any{"roles": []any{"auditor"}, "n": json.Number("3")},
			"https://example.com/roles": []any{"x"}, "levels": []any{json.Number("1"), json.Number("2")},
		},
		KeyID: "k1", KeyOwner: "bob", KeyTenant: "acme", KeyPermissions: []string{"users:read"},
	}
}

func TestHolds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`claims.tier == "gold" && request.method != "DELETE"`:           "true",
		`claims.tier == "silver"`:                                       "false",
		`claims.level >= 7 && claims.level == 7 && claims.level < 7.5`:  "true",
		`claims.ratio == 0.5 && claims.ratio < 1`:                       "true",
		`claims.exp == 1000`:                                            "true",
		`claims.big == 18446744073709551615u`:                           "true",
		`claims.big == 18446744073709551614u`:                           "false",
		`claims.huge == claims.huge`:                                    "error",
		`claims.level == "7"`:                                           "false",
		`claims.admin == true`:                                          "true",
		`claims.none == null`:                                           "true",
		`claims.none == "x"`:                                            "false",
		`"admin" in claims.roles`:                                       "true",
		`"adm" in claims.roles`:                                         "false",
		`claims.roles.exists(r, r.startsWith("adm"))`:                   "true",
		`claims.levels.all(n, n > 0)`:                                   "true",
		`2 in claims.levels`:                                            "true",
		`claims.realm_access.roles == ["auditor"]`:                      "true",
		`claims.realm_access.n + 1 == 4`:                                "true",
		`"x" in claims["https://example.com/roles"]`:                    "true",
		`has(claims.nobody)`:                                            "false",
		`has(claims.nobody) && claims.nobody == "x"`:                    "false",
		`claims.nobody == "x"`:                                          "error",
		`claims.tier > 3`:                                               "error",
		`claims.tier.nobody == 3`:                                       "error",
		`request.path == "/users/7" && request.host.endsWith(".com")`:   "true",
		`request.path.matches("^/users/[0-9]+$")`:                       "true",
		`request.headers["x-plan"] == "gold"`:                           "true",
		`request.headers["x-nobody"] == "gold"`:                         "error",
		`"x-nobody" in request.headers`:                                 "false",
		`request.query.a == ["1", "2"] && request.query.b == ["x y"]`:   "true",
		`"flag" in request.query && request.query.flag == [""]`:         "true",
		`size(claims.roles) == 2`:                                       "true",
		`request.method in ["GET", "HEAD"] ? true : claims.tier == "x"`: "true",
	} {
		holds(t, text, Token, facts(), want)
	}
	for text, want := range map[string]string{
		`key.tenant == "acme" && key.owner == "bob" && key.id == "k1"`: "true",
		`"users:read" in key.permissions`:                              "true",
		`"users" in key.permissions`:                                   "false",
		`key.tenant == request.headers["x-plan"]`:                      "false",
	} {
		holds(t, text, Key, facts(), want)
	}
	bad := facts()
	bad.Query = "a=%zz"
	holds(t, `!("b" in request.query)`, Token, bad, "error")
	holds(t, `"b" in request.headers || claims.size() > 0`, Token, &Facts{}, "false")
}

func holds(t *testing.T, text string, about Subject, f *Facts, want string) {
	t.Helper()
	r, err := Compile(text, about)
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	got, err := r.Holds(f)
	switch {
	case err != nil && got:
		t.Errorf("%s: true beside the error %v", text, err)
	case err != nil && want == "error":
	case err != nil, want == "error", got != (want == "true"):
		t.Errorf("%s: %t, %v; want %s", text, got, err, want)
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                               "line 1",
		`claims.tier ==`:                 "line 1, column 15",
		"true &&\n  clams.tier == \"x\"": "line 2, column 3: undeclared reference to 'clams'",
		`claims.tier`:                    "must be true or false, and is of type dyn",
		`request.path`:                   "is of type string",
		`request.metod == "GET"`:         "undeclared reference to 'request.metod'",
		`request.method == 7`:            "no matching overload",
		`key.tenant == "x"`:              "undeclared reference to 'key'",
		`claims.tier.frobnicate()`:       "undeclared reference to 'frobnicate'",
		`request.path.matches("[")`:      "regular expression",
		`request.path.matches(request.headers["x"])`:                          "may not come from the request",
		`claims.a.matches(claims.b)`:                                          "may not come from the request",
		`matches(request.path, claims.b)`:                                     "may not come from the request",
		`duration("x") == duration("1s")`:                                     "duration",
		`claims.a.all(x, claims.a.all(y, claims.a.all(z, x == y && y == z)))`: "nesting",
		`claims.a.all(x, claims.a.all(y, x != y))`:                            "could cost too much",
		strings.Repeat("(", 300) + "true" + strings.Repeat(")", 300):          "recursion limit",
		"true || " + strings.Repeat("x", maxText):                             "at most 4096 bytes",
	} {
		_, err := Compile(text, Token)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v; want %s", text, err, want)
		}
	}
	if _, err := Compile(`claims.tier == "x"`, Key); err == nil {
		t.Error("an API key has claims")
	}
	if _, err := Compile("true", Subject(9)); err == nil {
		t.Error("there is a subject 9")
	}
}

// What a rule costs on a request is bounded, beside what it was estimated at.
func TestCostIsBounded(t *testing.T) {
	t.Parallel()
	many := make([]any, 3000)
	for i := range many {
		many[i] = strings.Repeat("x", 2000)
	}
	f := &Facts{Claims: map[string]any{"roles": many}}
	holds(t, `claims.roles.exists(r, r.contains("y"))`, Token, f, "error")
	f.Claims["roles"] = many[:10]
	holds(t, `claims.roles.exists(r, r.contains("y"))`, Token, f, "false")
	// As many roles as a token can hold.
	few := make([]any, 1000)
	for i := range few {
		few[i] = "role"
	}
	f.Claims["roles"] = few
	holds(t, `claims.roles.exists(r, r == "admin") || "admin" in claims.roles`, Token, f, "false")
}

func TestRulesAreForManyAtOnce(t *testing.T) {
	t.Parallel()
	r, err := Compile(`claims.tier == request.headers["x-plan"] && request.path.matches("^/users/")`, Token)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			f := facts()
			if i%2 == 1 {
				f.Claims["tier"] = "silver"
			}
			for range 200 {
				if got, err := r.Holds(f); err != nil || got != (i%2 == 0) {
					t.Errorf("caller %d: %t, %v", i, got, err)
					return
				}
			}
		})
	}
	wait.Wait()
}

// FuzzRule: no text makes the compiler panic, and what compiles comes to an
// answer or to an error on whatever request.
func FuzzRule(f *testing.F) {
	for _, text := range []string{
		`claims.tier == "gold" && request.method != "DELETE"`, `claims.roles.exists(r, r == "x")`, `has(claims.a) ? true : false`,
		`request.query.a == ["1"]`, `request.path.matches("^/a")`, `key.tenant == "x"`, `{"a": 1}[request.path] == 1`, `[1,2][claims.level] == 1`,
		`timestamp(claims.tier) > timestamp("2020-01-01T00:00:00Z")`, `int(claims.tier) / 0 == 1`, `"\u00ff" + claims.tier == b"x"`,
	} {
		f.Add(text, `{"tier": "gold", "level": 1e9, "roles": [1, null, {}]}`, "a=1&b=%zz", "\xff")
	}
	f.Fuzz(func(t *testing.T, text, claims, query, header string) {
		for _, about := range []Subject{Token, Key} {
			r, err := Compile(text, about)
			if err != nil {
				continue
			}
			in := facts()
			in.Query, in.Path = query, header
			in.Headers = func() map[string]string { return map[string]string{header: header} }
			decoder := json.NewDecoder(strings.NewReader(claims))
			decoder.UseNumber()
			if decoder.Decode(&in.Claims) != nil {
				in.Claims = nil
			}
			if holds, err := r.Holds(in); err != nil && holds {
				t.Fatalf("%q holds beside the error %v", text, err)
			}
		}
	})
}
