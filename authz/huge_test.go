package authz

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// hugeTokens are what is made to be dear: none is signed, so that each can be made
// by anybody, and each has the kid and the algorithm of a key that there is.
func hugeTokens() map[string]string {
	segment := base64.RawURLEncoding.EncodeToString
	const room = MaxTokenBytes*3/4 - 200 // of the claims of a token that is not too long
	of := func(claims string) string {
		return segment([]byte(rsaSigner().header())) + "." + segment([]byte(claims)) + "." + strings.Repeat("A", 100)
	}
	numbered := func(format string, size int) string {
		var b strings.Builder
		for i := 0; b.Len() < size-30; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	deep := func(open, inner, shut string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(shut, n)
	}
	return map[string]string{
		"1 MiB of claims":           segment([]byte(rsaSigner().header())) + "." + strings.Repeat("A", 1<<20) + ".AA",
		"1 MiB of dots":             strings.Repeat(".", 1<<20),
		"8 KiB of dots":             strings.Repeat(".", MaxTokenBytes),
		"60 KiB of spaces":          strings.Repeat(" ", 60<<10),
		"a header of many members":  segment([]byte("{"+numbered(`"m%d":0,`, maxHeaderBytes-2)+"}")) + ".e30.AA",
		"a header that is too long": segment([]byte("{"+numbered(`"m%d":0,`, room)+"}")) + ".e30.AA",
		"a deep header":             segment([]byte(`{"alg":`+deep("[", "", "]", room/2)+"}")) + ".e30.AA",
		"deep arrays":               of(`{"a":` + deep("[", "", "]", room/2-10) + "}"),
		"deep objects":              of(deep(`{"a":`, "0", "}", room/6)),
		"many members":              of(`{"iss":"` + testIssuer + `",` + numbered(`"m%d":0,`, room) + "}"),
		"many numbers":              of(`{"iss":"` + testIssuer + `","a":[` + numbered("%d,", room) + "]}"),
		"many empty objects":        of(`{"iss":"` + testIssuer + `","a":[` + strings.TrimSuffix(strings.Repeat("{},", room/3-20), ",") + "]}"),
		"one long number":           of(`{"exp":1` + strings.Repeat("0", room-20) + "}"),
		"one long text of escapes":  of(`{"a":"` + strings.Repeat(`\u0041`, room/6-5) + `"}`),
		"a huge aud":                of(`{"iss":"` + testIssuer + `","aud":[` + numbered(`"a%d",`, room) + "]}"),
	}
}

// judgeOfHuge judges such tokens, as new ones each time.
func judgeOfHuge(t testing.TB) func(raw string) Reason {
	p := &Policy{AnyOf: []Requirement{{JWT: mainJWT()}}}
	s := New(Options{Policies: knownPolicies{p.Hash(): p}, KeySets: keySetsFor(t, mainJWT()), Tokens: 100})
	return func(raw string) Reason {
		_, refused := s.claimsFrom(t.Context(), &credentials{hasToken: true, rawToken: raw}, p.AnyOf[0].JWT, noon)
		if refused == nil {
			t.Fatal("a token that nobody has signed passed")
		}
		return refused.reason
	}
}

// TestHugeTokens are refused, and what they take to be refused is bounded by their
// length: what is longer than a token, by nothing but the refusal.
func TestHugeTokens(t *testing.T) {
	judge := judgeOfHuge(t)
	for name, raw := range hugeTokens() {
		if reason := judge(raw); reason.Status() != 401 {
			t.Errorf("%s: %s", name, reason)
		}
		most := 1.0
		if len(raw) <= MaxTokenBytes {
			most = MaxTokenBytes / 2
		}
		if n := testing.AllocsPerRun(5, func() { judge(raw) }); n > most+2 {
			t.Errorf("%s: %v allocations, want at most %v", name, n, most+2)
		}
	}
}

func BenchmarkHugeTokens(b *testing.B) {
	judge := judgeOfHuge(b)
	for name, raw := range hugeTokens() {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				judge(raw)
			}
		})
	}
}
