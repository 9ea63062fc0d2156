package rule

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestTexts: what a limit can count by, and when that is nothing.
func TestTexts(t *testing.T) {
	t.Parallel()
	f := facts()
	f.CallerUser, f.CallerTenant, f.CallerPlan, f.CallerKey = "alice", "acme", "gold", ""
	f.Claims = map[string]any{"tier": "gold", "level": json.Number("7")}
	for text, want := range map[string]string{
		`request.method`:                              f.Method,
		`request.method in ["GET", "HEAD"]`:           "true",
		`size(request.method)`:                        "3",
		`caller.user + "/" + caller.tenant`:           "alice/acme",
		`caller.key == "" ? caller.plan : caller.key`: "gold",
		`string(claims.tier)`:                         "gold",
		`has(claims.region) ? "there" : "not there"`:  "not there",
		`"-" + string(claims.level)`:                  "-7",
	} {
		r, err := CompileText(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := r.Of(f); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`string(claims.region)`, `request.query["missing"][0]`} {
		r, err := CompileText(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.Of(f); err == nil {
			t.Errorf("%s came to %q, and there is no such thing", text, got)
		}
	}
	if _, err := (Text{}).Of(f); err == nil {
		t.Error("no rule came to something")
	}
	nobody := facts()
	nobody.Claims = nil
	r, _ := CompileText(`has(claims.tier) ? string(claims.tier) : "nobody"`)
	if got, err := r.Of(nobody); got != "nobody" || err != nil {
		t.Errorf("a caller without claims: %q, %v", got, err)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	f := facts()
	f.Claims = map[string]any{"weight": json.Number("7")}
	for text, want := range map[string]int64{
		`request.method == "GET" ? 1 : 5`: 1,
		`int(claims.weight) * 2`:          14,
		`0 - 3`:                           -3,
	} {
		r, err := CompileNumber(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := r.Of(f); got != want || err != nil {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{`int(claims.none)`, `9223372036854775807 + size(request.method)`} {
		r, err := CompileNumber(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.Of(f); err == nil {
			t.Errorf("%s came to %d", text, got)
		}
	}
	if _, err := (Number{}).Of(f); err == nil {
		t.Error("no rule came to something")
	}
}

// TestTypesOfValues: a value of another type, or of one that nobody knows before
// the request, is a fault of the config.
func TestTypesOfValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text    string
		compile func(string) error
		want    string
	}{
		{`claims.tier`, asText, "is of type dyn"},
		{`1.5`, asText, "is of type double"},
		{`request.headers`, asText, "is of type map(string, string)"},
		{`key.id`, asText, "undeclared reference"},
		{`request.method`, asNumber, "must be a whole number, and is of type string"},
		{`claims.weight`, asNumber, "say so, as with int(…)"},
		{`caller.usr`, asText, "undeclared reference"},
		{`claims.all(a, claims.all(b, a == b)) ? "a" : "b"`, asText, "could cost too much"},
	} {
		err := c.compile(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.text, err, c.want)
		}
	}
}

func asText(s string) error   { _, err := CompileText(s); return err }
func asNumber(s string) error { _, err := CompileNumber(s); return err }

// TestOfCaller: what a rule comes to for a request that nobody has looked at.
func TestOfCaller(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`request.path`:                                false,
		`request.headers["claims"]`:                   false,
		`"claims.tier and caller.user"`:               false,
		`caller.user`:                                 true,
		`request.method == "GET" ? "a" : caller.plan`: true,
		`string(claims["x"])`:                         true,
		`has(claims.x) ? "a" : "b"`:                   true,
	} {
		r, err := CompileText(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if r.OfCaller() != want {
			t.Errorf("%s reads the caller: %t", text, r.OfCaller())
		}
	}
}
