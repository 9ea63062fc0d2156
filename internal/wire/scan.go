package wire

import "unicode/utf8"

// How the value of a field is written.
const (
	Varint    = 0
	Fixed64   = 1
	Delimited = 2
	Fixed32   = 5
)

// maxNumber is the greatest number that a field can have.
const maxNumber = 1<<29 - 1

// Tag is what stands before a field: its number, and how its value is written.
func Tag(number, kind uint64) uint64 { return number<<3 | kind }

// Scanner walks over the fields of one message. What it cannot read fails it: it
// then is at its end, and so is every one that it is within. What it returns are
// parts of the message's text. The zero value is at the end of an empty message.
type Scanner struct {
	rest   string
	seen   uint32 // of the fields that must not come twice, by their numbers
	failed bool
}

// Scan begins with the first field of a message.
func Scan(message string) Scanner { return Scanner{rest: message} }

// More reports whether there is another field.
func (s *Scanner) More() bool { return len(s.rest) > 0 }

// Fail ends it: there is something that the caller does not know.
func (s *Scanner) Fail() { s.failed, s.rest = true, "" }

// Failed reports whether anything has failed it.
func (s *Scanner) Failed() bool { return s.failed }

// Once reports whether a field of a number below 32 is here for the first time.
// Messages that come twice are merged, which is left to the generated code.
func (s *Scanner) Once(number int) bool {
	first := s.seen&(1<<number) == 0
	s.seen |= 1 << number
	return first
}

// Message is a scanner of the message that the current field holds, failed unless
// ok. When it is at its end, Done is told.
func (s *Scanner) Message(ok bool) Scanner {
	inner := Scan(s.Bytes())
	if !ok {
		inner.Fail()
	}
	return inner
}

// Done ends the reading of a message within.
func (s *Scanner) Done(inner Scanner) {
	if inner.failed {
		s.Fail()
	}
}

// Entry returns an entry of a map of strings.
func (s *Scanner) Entry() (name, value string) {
	inner := s.Message(true)
	for inner.More() {
		switch inner.Tag() {
		case Tag(1, Delimited):
			name = inner.Text()
		case Tag(2, Delimited):
			value = inner.Text()
		default:
			inner.Fail()
		}
	}
	s.Done(inner)
	return name, value
}

// Tag reads what stands before a field.
func (s *Scanner) Tag() uint64 { return s.Varint() }

// Varint reads a number of at most 64 bits.
func (s *Scanner) Varint() uint64 {
	var n uint64
	for i := range min(len(s.rest), 10) {
		c := s.rest[i]
		if i == 9 && c > 1 {
			break // more than 64 bits
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			s.rest = s.rest[i+1:]
			return n
		}
	}
	s.Fail()
	return 0
}

// Bytes reads a value of any bytes.
func (s *Scanner) Bytes() string {
	n := s.Varint()
	if n > uint64(len(s.rest)) {
		s.Fail()
		return ""
	}
	value := s.rest[:n]
	s.rest = s.rest[n:]
	return value
}

// Text reads a value that must be UTF-8.
func (s *Scanner) Text() string {
	value := s.Bytes()
	if !utf8.ValidString(value) {
		s.Fail()
	}
	return value
}

// Skip passes over the value of a field that nobody asks for. The generated code
// looks into some of those, and may take offence where this does not.
func (s *Scanner) Skip(tag uint64) {
	switch tag & 7 {
	case Varint:
		s.Varint()
	case Fixed64:
		s.pass(8)
	case Delimited:
		s.Bytes()
	case Fixed32:
		s.pass(4)
	default: // a group, which nobody sends
		s.Fail()
	}
	if number := tag >> 3; number == 0 || number > maxNumber {
		s.Fail()
	}
}

// pass passes over bytes.
func (s *Scanner) pass(n int) {
	if len(s.rest) < n {
		s.Fail()
		return
	}
	s.rest = s.rest[n:]
}
