package laxjson

import "strings"

// cube is a set of bytes: those whose bits under care are those of bits.
type cube struct{ care, bits byte }

// anyByte has all bytes.
var anyByte = cube{}

func only(b byte) cube { return cube{0xFF, b} }

// sequence is what stands in one after the other: in each place one of the bytes of a
// cube.
type sequence []cube

func literal(s string) sequence {
	all := make(sequence, len(s))
	for i := range len(s) {
		all[i] = only(s[i])
	}
	return all
}

// alphabet is that of base64url (RFC 4648, section 5).
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// anyCharacter is a character of the segment that is looked at: everything but the dot
// behind it.
const anyCharacter = "[^.]"

// spelled is a regular expression for a sequence in base64url, where its first byte is
// the one with this number, of 0 to 2, among the three that four characters spell. It
// begins and ends with whole groups of four, but for the last one, of which it has what
// the sequence needs.
func (s sequence) spelled(offset int) string {
	bytes := append(make(sequence, offset, offset+len(s)), s...)
	var b strings.Builder
	for i := 0; i*6 < len(bytes)*8; i++ {
		b.WriteString(characters(bytes.sixBits(i * 6)))
	}
	return b.String()
}

// sixBits are those from a bit on, as a cube of the numbers from 0 to 63.
func (s sequence) sixBits(from int) cube {
	var six cube
	for bit := from; bit < from+6; bit++ {
		six.care, six.bits = six.care<<1, six.bits<<1
		if bit/8 < len(s) {
			six.care |= s[bit/8].care >> (7 - bit%8) & 1
			six.bits |= s[bit/8].bits >> (7 - bit%8) & 1
		}
	}
	return six
}

// characters are those of the alphabet whose numbers are in the cube.
func characters(six cube) string {
	if six.care == 0 {
		return anyCharacter
	}
	var all []byte
	for n := range byte(64) {
		if n&six.care == six.bits {
			all = append(all, alphabet[n])
		}
	}
	if len(all) == 1 {
		return string(all)
	}
	return "[" + ranges(all) + "]"
}

// ranges writes characters, which are in the order of the alphabet, for a class.
func ranges(all []byte) string {
	var b strings.Builder
	for i := 0; i < len(all); {
		end := i
		for end+1 < len(all) && all[end+1] == all[end]+1 {
			end++
		}
		switch {
		case all[i] == '-':
			b.WriteString(`\-`)
			end = i
		case end > i+1:
			b.WriteByte(all[i])
			b.WriteByte('-')
			b.WriteByte(all[end])
		default:
			b.Write(all[i : end+1])
		}
		i = end + 1
	}
	return b.String()
}

// except are all bytes but these, as cubes.
func except(these ...byte) []cube { return split(anyByte, these) }

func split(c cube, without []byte) []cube {
	var in []byte
	for _, b := range without {
		if b&c.care == c.bits {
			in = append(in, b)
		}
	}
	switch {
	case len(in) == 0:
		return []cube{c}
	case c.care == 0xFF:
		return nil
	}
	bit := byte(0x80)
	for c.care&bit != 0 {
		bit >>= 1
	}
	zero, one := cube{c.care | bit, c.bits}, cube{c.care | bit, c.bits | bit}
	return append(split(zero, in), split(one, in)...)
}
