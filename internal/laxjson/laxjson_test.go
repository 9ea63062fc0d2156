package laxjson

import (
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// found tells whether one of the patterns matches a payload in base64.
func found(payload string) bool {
	segment := base64.RawURLEncoding.EncodeToString([]byte(payload))
	for _, p := range compiled() {
		if p.MatchString(segment) {
			return true
		}
	}
	return false
}

var compiled = func() func() []*regexp.Regexp {
	var all []*regexp.Regexp
	return func() []*regexp.Regexp {
		if all == nil {
			for _, p := range Patterns() {
				all = append(all, regexp.MustCompile("^(?:"+p+")$"))
			}
		}
		return all
	}
}()

// TestWhatIsFound: at each of the three places where base64 may cut, what Envoy's parser
// takes and no other is found, and what issuers write is not.
func TestWhatIsFound(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[0,", n) + "0" + strings.Repeat("]", n) }
	for shift := range 3 {
		around := func(member string) string {
			return `{"` + strings.Repeat("s", shift) + `":"https://id.example.com/",` + member + `,"b":"c"}`
		}
		for _, bad := range []string{
			`"x":[1,]`, `"x":{"a":1,}`, `"x":[1, ]`, `"x":[1 ,]`, `"x":{a:1}`, `"x":{ a:1}`, `"x":1,y:2`, `"x":1, y:2`, `"x":"z",y:2`, `"x":"z",$:2`,
			`"x":[],_y:2`, `"x":true,y:2`, `"x":false, y:2`, `"x":null,y:2`, `"x":'a'`, `"x": 'a'`, `"x":['a']`, `'x':1`, `"x":["a",'b']`, `"x":"\'"`, `"x":"\U00000041"`,
			"\"x\":\"\n\"", "\"x\":\"\t\"", "\"x\":\"\x1f\"", "\"x\":\"\x00\"", "\"x\":\t1",
			`"x":1e-10000`, `"x":1E-10000`, `"x":[0.5e-123456]`, `"x":0e1000000`, `"x":0E+12345678`, `"x":{"y":1e-99999999999999}`, `"x":` + deep(40), `"x":` + strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40),
			`"x":[[1]]`, `"x":[{}]`, `"x":["a",{"b":1}]`, `"x":["a", ["b"]]`, `"x":[1,[]]`,
		} {
			if !found(around(bad)) {
				t.Errorf("not found in %q", around(bad))
			}
		}
		for _, good := range []string{
			`"x":"a,b"`, `"x":["a","b"]`, `"x": ["a", "b"], "y": 1`, `"x":1.5e-3`, `"x":-1e12,"y":1E+9`, `"x":"O'Brien"`, `"x":"a \"b\" c"`, `"x":"CORP\\alice"`, `"x":"Doe, John"`,
			`"jti":"7b1e-12345e-4321-b3e12345"`, `"x":{"roles":["a"]},"y":{}`, `"x":[]`, `"x":[1,2,3.5]`, `"x":true,"y":null`, `"x":"ü"`, `"x":"\u00e9\/"`, `"x":` + strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20),
			`"exp":1795905010,"iat":1795901350`,
		} {
			if found(around(good)) {
				t.Errorf("found in %q", around(good))
			}
		}
	}
	if !found(`{"a":1,}`) || !found(`{a:1}`) || !found(`{'a':1}`) {
		t.Error("not found at the beginning or at the end")
	}
}

// TestSequencesInBase64: a sequence is found in the base64 of bytes exactly where the
// bytes have it.
func TestSequencesInBase64(t *testing.T) {
	t.Parallel()
	all := sequences()
	expressions := make([]*regexp.Regexp, len(all))
	for i, s := range all {
		expressions[i] = regexp.MustCompile("^(?:" + around([]string{s.spelled(0), s.spelled(1), s.spelled(2)}) + ")$")
	}
	likely := rapid.SampledFrom([]byte(`{}[]",:' \U$a1e-+lsetrunl.` + "\x00\x1f\x7f\xff"))
	rapid.Check(t, func(t *rapid.T) {
		bytes := rapid.SliceOfN(rapid.OneOf(likely, rapid.Byte()), 0, 12).Draw(t, "bytes")
		i := rapid.IntRange(0, len(all)-1).Draw(t, "sequence")
		segment := base64.RawURLEncoding.EncodeToString(bytes)
		if got, want := expressions[i].MatchString(segment), all[i].in(bytes); got != want {
			t.Errorf("%v in %q: %t, want %t\n%s", all[i], bytes, got, want, expressions[i])
		}
	})
}

// in tells whether bytes have the sequence.
func (s sequence) in(bytes []byte) bool {
	for at := 0; at+len(s) <= len(bytes); at++ {
		all := true
		for i, c := range s {
			all = all && bytes[at+i]&c.care == c.bits
		}
		if all {
			return true
		}
	}
	return false
}
