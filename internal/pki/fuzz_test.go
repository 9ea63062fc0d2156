package pki

import (
	"slices"
	"strings"
	"testing"
)

// FuzzSPIFFEID: a name that is taken has one spelling, and a pattern takes the names
// that it stands for and no others.
func FuzzSPIFFEID(f *testing.F) {
	for _, seed := range []string{
		"spiffe://example.org/ns/shop/sa/cart", "spiffe://example.org/*/sa/**", "spiffe://example.org/a/../b", "spiffe://example.org//a", "spiffe://example.org/a%2fb",
		"SPIFFE://example.org/a", "spiffe://Example.org/a", "spiffe://example.org", "spiffe:///a", "spiffe://u@example.org/a", "spiffe://example.org/a?b#c", "spiffe://example.org/é",
	} {
		f.Add(seed, "spiffe://example.org/ns/shop")
	}
	f.Fuzz(func(t *testing.T, text, other string) {
		id, err := ParseSPIFFEID(text)
		if err == nil {
			if again := spiffeScheme + id.TrustDomain + "/" + strings.Join(id.Path, "/"); again != text || !IsSPIFFE(text) {
				t.Errorf("%q is taken, and written as %q", text, again)
			}
			if strings.ContainsAny(text, "%*?#@\\") || slices.Contains(id.Path, "..") || slices.Contains(id.Path, ".") || strings.ToLower(id.TrustDomain) != id.TrustDomain {
				t.Errorf("%q is taken", text)
			}
		}
		pattern, patternErr := ParseSPIFFEPattern(text)
		if err == nil && (patternErr != nil || !pattern.Takes(id)) {
			t.Errorf("%q as a pattern does not take itself: %v", text, patternErr)
		}
		name, nameErr := ParseSPIFFEID(other)
		if patternErr != nil || nameErr != nil {
			return
		}
		takes := pattern.Takes(name)
		switch {
		case err == nil && takes != (text == other):
			t.Errorf("%q takes %q: %t", text, other, takes)
		case takes && !strings.HasPrefix(other, text[:strings.IndexByte(text+"*", '*')]):
			t.Errorf("%q takes %q", text, other)
		}
	})
}
