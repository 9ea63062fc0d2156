package keys

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"sync"
	"testing"
)

// TestHashIsTheHMACOfTheDigest: computed here in another way.
func TestHashIsTheHMACOfTheDigest(t *testing.T) {
	secrets, err := newRing(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "x", inSequence, strings.Repeat("long", 1000)} {
		plain := sha256.Sum256([]byte(text))
		other := hmac.New(sha256.New, []byte(testSecret))
		other.Write(plain[:])
		h := secrets.hashOf(digestOf(text))
		if got, want := h.stored(), keyedMarker+secrets.secrets[0].fingerprint+":"+hexOf(other.Sum(nil)); got != want {
			t.Errorf("hash of %.10q… = %s, want %s", text, got, want)
		}
		if read, err := secrets.parseHash(h.stored()); err != nil || read != h {
			t.Errorf("read back %v, %v; want %v", read, err, h)
		}
		if !secrets.verifies(h, digestOf(text)) || secrets.verifies(h, digestOf(text+"x")) {
			t.Errorf("the hash of %.10q… is not its alone", text)
		}
	}
	if secrets.verifies(hash{}, digest{}) {
		t.Error("no hash is taken for one")
	}
}

// TestSecretsAreApart: what one secret makes, fingerprint included, no other does.
func TestSecretsAreApart(t *testing.T) {
	one, err := newRing(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	other, err := newRing(testSecret + "!")
	if err != nil {
		t.Fatal(err)
	}
	d := digestOf(inSequence)
	if one.hashOf(d) == other.hashOf(d) || one.hashOf(d).sum == other.hashOf(d).sum ||
		one.secrets[0].importedID(d) == other.secrets[0].importedID(d) {
		t.Error("two secrets make the same")
	}
	if other.verifies(one.hashOf(d), d) {
		t.Error("a hash of another secret is verified")
	}
	if id := one.secrets[0].importedID(d); !isID(id) {
		t.Errorf("%q is no id", id)
	}
}

func TestHashesAreMadeByManyAtOnce(t *testing.T) {
	secrets, err := newRing(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	d := digestOf(inSequence)
	want := secrets.hashOf(d)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				if secrets.hashOf(d) != want || secrets.verifies(want, digestOf("x")) {
					t.Error("a hash is mixed with another's")
					return
				}
			}
		})
	}
	all.Wait()
}
