package authz

import (
	"testing"
)

// TestIssuerIsOther only where that is certain.
func TestIssuerIsOther(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`{"iss":"a"}`: false, `{"iss":"b"}`: true, ` { "iss" : "b" } `: true, `{"iss":""}`: true, `{}`: false, ``: false, `[]`: false, `"iss"`: false,
		`{"x":{"iss":"a"},"iss":"b"}`: true, `{"x":{"iss":"b"},"iss":"a"}`: false, `{"x":{"iss":"b"}}`: false, `{"x":["}",{"y":"\"]"}],"iss":"b","z":1}`: true,
		`{"iss":"b","iss":"a"}`: false, `{"iss":"a","iss":"b"}`: false, `{"iss":"b","is\u0073":"a"}`: false, `{"iss":"\u0061"}`: false, `{"iss":["b"]}`: false, `{"iss":null}`: false,
		`{"iss":"b"`: false, `{"iss":"b",`: false, `{"iss":"b","x"`: false, `{"iss":"b","x":"`: false, `{"iss":"b","x":"\`: false, `{"iss":"b","x":[`: false, `{"iss":"b"]`: false,
	} {
		if got := issuerIsOther([]byte(text), "a"); got != want {
			t.Errorf("%s: %t, want %t", text, got, want)
		}
	}
}

// FuzzIssuerIsOther: what it says for certain of claims that can be decoded is
// what is in them.
func FuzzIssuerIsOther(f *testing.F) {
	f.Add([]byte(`{"x":["}",{"y":"\"]"}],"iss":"b","z":1}`))
	f.Add([]byte(`{"iss":"a","x":[]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		other := issuerIsOther(payload, "a")
		if c, err := decodeClaims(payload); err == nil && other && c["iss"] == "a" {
			t.Fatalf("the issuer of %q is a", payload)
		}
	})
}
