package wire

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// What is appended is what is scanned, whatever its length.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 100, 127, 128, 70_000} {
		text := strings.Repeat("x", n)
		b, inner := BeginMessage(nil, 3)
		b = AppendText(b, 1, text)
		b = EndMessage(b, inner)
		b = AppendStrings(b, 4, []string{"", text})
		s := Scan(string(b))
		if s.Tag() != Tag(3, Delimited) {
			t.Fatal("no message")
		}
		within := s.Message(s.Once(3))
		if n > 0 && (within.Tag() != Tag(1, Delimited) || within.Text() != text) {
			t.Errorf("%d bytes are not there again", n)
		}
		if within.More() {
			t.Errorf("%d bytes: more than they in the message", n)
		}
		s.Done(within)
		for _, want := range []string{"", text} {
			if s.Tag() != Tag(4, Delimited) || s.Text() != want {
				t.Errorf("%d bytes are not there again", n)
			}
		}
		if s.More() || s.Failed() {
			t.Errorf("%d bytes: failed %t", n, s.Failed())
		}
	}
}

// A fault within fails all that it is within, and ends them.
func TestFaults(t *testing.T) {
	t.Parallel()
	read := map[string]func(*Scanner){
		"text":    func(s *Scanner) { s.Text() },
		"bytes":   func(s *Scanner) { s.Bytes() },
		"varint":  func(s *Scanner) { s.Varint() },
		"entry":   func(s *Scanner) { s.Entry() },
		"message": func(s *Scanner) { within := s.Message(true); within.Tag(); s.Done(within) },
		"twice":   func(s *Scanner) { s.Once(1); s.Done(s.Message(s.Once(1))) },
	}
	for name, message := range map[string]string{
		"text: \xff":                   "\x01\xff",
		"text: too short":              "\x05abcd",
		"bytes: length beyond 64 bits": strings.Repeat("\xff", 9) + "\x02",
		"varint: no end":               "\xff",
		"varint: 11 bytes":             strings.Repeat("\x80", 10) + "\x01",
		"entry: unknown field":         "\x02\x18\x01",
		"message: cut":                 "\x01\x80",
		"twice: ":                      "\x00",
	} {
		s := Scan(message)
		read[name[:strings.IndexByte(name, ':')]](&s)
		if !s.Failed() || s.More() {
			t.Errorf("%s: failed %t, more %t", name, s.Failed(), s.More())
		}
	}
}

// FuzzSkip: it passes over what protowire passes over, but groups, and numbers that
// no field can have, which the generated code refuses.
func FuzzSkip(f *testing.F) {
	for _, b := range [][]byte{{0x08, 0x80, 0x01}, {0x09, 1, 2, 3, 4, 5, 6, 7, 8}, {0x0a, 2, 'a', 0xff}, {0x0d, 1, 2, 3, 4}, {0x0b, 0x0c}, {0x00, 1}, {0x0d, 1}} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := Scan(string(b))
		s.Skip(s.Tag())
		number, kind, n := protowire.ConsumeField(b)
		if kind == protowire.StartGroupType || kind == protowire.EndGroupType || number > protowire.MaxValidNumber {
			n = -1
		}
		if s.Failed() != (n < 0) || n >= 0 && len(s.rest) != len(b)-n {
			t.Errorf("%x: %d left (failed %t), want to pass over %d", b, len(s.rest), s.Failed(), n)
		}
	})
}

// FuzzVarint: it takes what protowire takes.
func FuzzVarint(f *testing.F) {
	f.Add([]byte{0x80, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		want, n := protowire.ConsumeVarint(b)
		s := Scan(string(b))
		if got := s.Varint(); s.Failed() != (n < 0) || n >= 0 && got != want {
			t.Errorf("%x: %d (failed %t), want %d (%d)", b, got, s.Failed(), want, n)
		}
	})
}
