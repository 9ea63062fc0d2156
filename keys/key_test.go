package keys

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// inSequence is the key that the random bytes 0, 1, 2, … make; its checksum was
// computed by another program (Python, zlib).
const inSequence = "gw_0123456789abc_defghjkmnpqrstvwxyz0123456789abcdefghjkm2ttr7w5"

func newKey(t testing.TB) Key {
	t.Helper()
	key, err := New(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestKeyFormIsFixed(t *testing.T) {
	drawn := make([]byte, idChars+secretChars)
	for i := range drawn {
		drawn[i] = byte(i)
	}
	key, err := New(bytes.NewReader(drawn))
	if err != nil {
		t.Fatal(err)
	}
	if key.Secret.Reveal() != inSequence || key.ID != "0123456789abc" {
		t.Errorf("New = %s, id %s; want %s: keys already given out would stop working", key.Secret.Reveal(), key.ID, inSequence)
	}
}

func TestNewSaysWhenThereIsNoRandomness(t *testing.T) {
	broken := errors.New("no entropy")
	if _, err := New(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("New = %v, want %v", err, broken)
	}
}

func TestParseReadsWhatNewWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawn := rapid.SliceOfN(rapid.Byte(), idChars+secretChars, -1).Draw(t, "random")
		key, err := New(bytes.NewReader(drawn))
		if err != nil {
			t.Fatal(err)
		}
		parsed, ok := Parse(key.Secret.Reveal())
		if !ok || parsed.ID != key.ID {
			t.Fatalf("Parse(%s) = %v, %v; want id %s", key.Secret.Reveal(), parsed, ok, key.ID)
		}
	})
}

func TestParseRefusesEveryOtherCharacter(t *testing.T) {
	text := newKey(t).Secret.Reveal()
	for at := range len(text) {
		for b := range 256 {
			if byte(b) == text[at] {
				continue
			}
			if _, ok := Parse(text[:at] + string([]byte{byte(b)}) + text[at+1:]); ok {
				t.Fatalf("a key with byte %d changed to %#x is accepted", at, b)
			}
		}
	}
}

func TestParseRefusesOtherSpellings(t *testing.T) {
	text := inSequence
	if _, ok := Parse(text); !ok {
		t.Fatal("the key itself is refused")
	}
	for name, other := range map[string]string{
		"empty":             "",
		"prefix only":       prefix,
		"upper case":        strings.ToUpper(text),
		"upper case prefix": "GW_" + text[3:],
		"space before":      " " + text,
		"newline after":     text + "\n",
		"cut":               text[:len(text)-1],
		"longer":            text + "0",
		"no separator":      text[:16] + text[17:] + "0",
		"two of them":       text + "," + text,
		"NUL in it":         text[:20] + "\x00" + text[21:],
		"not UTF-8":         text[:20] + "\xff" + text[21:],
		"letters misread":   strings.Replace(strings.Replace(text, "1", "l", 1), "0", "o", 1),
	} {
		if _, ok := Parse(other); ok {
			t.Errorf("%s: %q is accepted", name, other)
		}
	}
}

func TestParseOfHugeTextCostsNothing(t *testing.T) {
	huge := strings.Repeat(inSequence, 1<<14)
	if allocated := testing.AllocsPerRun(100, func() { Parse(huge) }); allocated != 0 {
		t.Errorf("Parse of %d bytes allocates %v times", len(huge), allocated)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(inSequence)
	f.Add("gw_")
	f.Add(strings.Repeat("0", keyChars))
	f.Fuzz(func(t *testing.T, text string) {
		parsed, ok := Parse(text)
		if !ok {
			return
		}
		// What is accepted has one spelling: its parts, written again, are it.
		secret := text[len(prefix)+idChars+len(separator) : checksumStart]
		body := prefix + parsed.ID + separator + secret
		if body+checksum(body) != text || !isID(parsed.ID) {
			t.Errorf("%q is accepted, and is not canonical", text)
		}
	})
}
