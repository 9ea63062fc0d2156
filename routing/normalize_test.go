package routing

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// normalPaths are paths and what a real Envoy 1.40 makes of them: nothing is a
// 400. TestNormalizeIsEnvoys asks it again.
var normalPaths = map[string]string{
	"/":                   "/",
	"/a/b?c":              "/a/b?c",
	"/a/./b":              "/a/b",
	"/a/../b":             "/b",
	"/../a":               "/a",
	"/a/..":               "/",
	"/a/.":                "/a/",
	"/a/..?q":             "/?q",
	"/a/%2e%2e/b":         "/b",
	"/a/.%2E":             "/",
	"/a/...":              "/a/...",
	"/..%2e":              "/...",
	"/.a":                 "/.a",
	"/a/b..":              "/a/b..",
	"/a//b":               "/a/b",
	"//a":                 "/a",
	"//":                  "//",
	"///":                 "//",
	"/a/..//":             "//",
	"/a//":                "/a/",
	"/a//../b":            "/a/b",
	"/a/b//..//c":         "/a/b/c",
	`/a\b`:                "/a/b",
	`/a\..\b`:             "/b",
	`/a\`:                 "/a/",
	"/%61%2D%7e%5F%41":    "/a-~_A",
	"/%":                  "/%",
	"/a%4":                "/a%4",
	"/a%zz":               "/a%zz",
	"/a/%2/../b":          "/a/b",
	"/a%252fb":            "/a%252fb",
	"/%%2e%2e/":           "/%../",
	"/a/%%32%65/":         "/a/%252e/",
	"/%c3%A9":             "/%c3%A9",
	"/%21%24%3b%40":       "/%21%24%3b%40",
	"/!$&'()*+,=:@[]":     "/!$&'()*+,=:@[]",
	"/\"<>^`{|}":          "/%22%3C%3E%5E%60%7B%7C%7D",
	"/a%0a%7f":            "/a%0a%7f",
	"/a;x=1/b":            "/a;x=1/b",
	"/a;x/../b":           "/b",
	"/a/..;x=1;y/b":       "/b",
	"/a/.;x/b":            "/a/b",
	"/a/...;/b":           "/a/...;/b",
	"/a/x..;/b":           "/a/x..;/b",
	`/a/..;b\c`:           "/",
	`/a\..;b/c`:           "/a/..;b/c",
	"/a/%2e%2e;/b":        "/a/..;/b",
	"/a/..;%00/b":         "/b",
	"/a/%3%65":            "/a/%253e",
	"/a/..%3b/b":          "/a/..%3b/b",
	`/?//y/../%2f\%00%zz`: `/?//y/../%2f\%00%zz`,
	"/a%2Fb":              "",
	"/a%2fb":              "",
	"/a%5cb":              "",
	"/a%%2f":              "",
	"/a%00":               "",
	"/a%%00":              "",
	"/a#b":                "",
	"/a?#":                "",
	"/a\x01":              "",
	"/a\x7f":              "",
	"/\xc3\xa9":           "",
	"/a?\xff":             "",
	"a":                   "",
	"*":                   "",
	`\a`:                  "",
	"?q":                  "",
}

// normalHosts are hosts and what a real Envoy 1.40 makes of them, in lower case.
var normalHosts = map[string]string{
	"a.com": "a.com", "A.com": "a.com", "a.com:80": "a.com", "a.com:": "a.com:", "a.com:x": "a.com:x",
	"a.com:080": "a.com", "a.com:99999": "a.com", "a.com:+80": "a.com", "a.com:-1": "a.com:-1", "a.com:0x50": "a.com:0x50",
	"a.com:4294967295": "a.com", "a.com:4294967296": "a.com:4294967296", "a:80:90": "a:80",
	"[::1]": "[::1]", "[::1]:80": "[::1]", "[::FFFF]:1": "[::ffff]", "[::1]:": "[::1]:", "[::1]x:80": "[::1]x",
	"::1": ":", "::1:80": "::1", "a.com.": "a.com.", "a.com.:80": "a.com.", ":80": "", "": "",
}

func TestNormalize(t *testing.T) {
	for path, want := range normalPaths {
		got, err := Normalize(Request{Host: "a.com", Method: "GET", Path: path})
		if got.Path != want || (err == nil) != (want != "") {
			t.Errorf("%q is normalized to %q (%v), want %q", path, got.Path, err, want)
		}
		if refused := new(Refusal); err != nil && !errors.As(err, &refused) {
			t.Errorf("%q: %v is no Refusal", path, err)
		}
		strict, err := NormalizeStrictly(Request{Host: "a.com", Method: "GET", Path: path})
		if (err == nil) != (want == path) || err == nil && strict.Path != path {
			t.Errorf("%q is strictly %q (%v), and %q in its normal form", path, strict.Path, err, want)
		}
	}
	for host, want := range normalHosts {
		if got, err := Normalize(Request{Host: host, Path: "/"}); got.Host != want || err != nil {
			t.Errorf("the host %q is normalized to %q (%v), want %q", host, got.Host, err, want)
		}
	}
}

// TestRefusals are the words of a refusal. A query, which may hold a secret, is
// in none.
func TestRefusals(t *testing.T) {
	for path, want := range map[string]string{
		"/a%2fb?key=x": `path "/a%2fb": must not have an escaped slash, %2f`,
		"/a%00":        `path "/a%00": must not have an escaped zero, %00`,
		"/a#b":         `path "/a#b": must not have a #`,
		"a":            `path "a": must begin with /`,
		"/\xff":        `path "/\xff": must have visible ASCII characters only: others are percent-encoded`,
		"/a/../b?k=x":  `path "/a/../b": must be in its normal form, which is /b`,
	} {
		if _, err := NormalizeStrictly(Request{Path: path}); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", path, err, want)
		}
	}
}

// drawRawPath is a path of pieces that matter to normalizing.
func drawRawPath(t *rapid.T) string {
	pieces := rapid.SliceOfN(rapid.SampledFrom([]string{
		"/", "/", "/", "//", `\`, ".", "..", "/.", "/..", ";", "..;x", "%2e", "%2E%2e", "%2f", "%5C", "%00", "%41", "%c3", "%", "%2", "%zz",
		"a", "b", "{", "|", `"`, "?", "#", "=", "~", "*", "+",
	}), 0, 9).Draw(t, "pieces")
	return "/" + strings.Join(pieces, "")
}

func TestNormalPathsAreNormal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkNormal(t, drawRawPath(t)) })
}

// checkNormal holds a normalized path to what can be said of all of them.
func checkNormal(t fataler, raw string) {
	r, err := Normalize(Request{Path: raw})
	if err != nil {
		return
	}
	path, query, asked := strings.Cut(r.Path, "?")
	_, rawQuery, rawAsked := strings.Cut(raw, "?")
	switch {
	case query != rawQuery || asked != rawAsked:
		t.Fatalf("%q: the query became %q", raw, query)
	case !strings.HasPrefix(path, "/") || strings.ContainsAny(path, `\#`):
		t.Fatalf("%q became %q", raw, path)
	case path != "//" && strings.Contains(path, "//"):
		t.Fatalf("%q became %q, with slashes that are not merged", raw, path)
	case isNormal(withoutQuery(raw)) && mergedSlashes(resolved(withoutQuery(raw))) != withoutQuery(raw):
		t.Fatalf("%q is taken for normal", raw)
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "." || part == ".." {
			t.Fatalf("%q became %q, with a dot segment", raw, path)
		}
	}
	// Parameters of a dot segment that was escaped are left for whoever
	// normalizes next.
	again, err := Normalize(r)
	if strings.Contains(path, ".;") {
		return
	}
	if err != nil || again.Path != r.Path {
		t.Fatalf("%q became %q, and then %q (%v)", raw, r.Path, again.Path, err)
	}
}
