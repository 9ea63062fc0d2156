// Package laxjson knows the JSON that Envoy's jwt_authn reads and package authz does not
// (RFC 8259 does not either), and how to find it in a token that is still in base64.
//
// Envoy reads the claims with protobuf's parser, which takes commas behind the last
// member, names without quotation marks, single ones, control characters as they are,
// escapes of its own, and a nesting of 99; what it had to overlook is gone when the
// claims are there. So the token's own bytes are looked at, by regular expressions, of
// RE2's kind, over base64. They find more than there is, as they do not tell what is
// inside a text of the claims from what is around it. What they find has to be judged by
// Gatewright; what they do not find, and Envoy's parser takes, is strict.
package laxjson

import (
	"strconv"
	"strings"
)

// maxOpened is how many objects and arrays there may be. It is below package authz's
// bound of how deep they may nest.
const maxOpened = 31

// Patterns are regular expressions for base64url segments: one of them matches a segment,
// as a whole, whose bytes may be JSON for Envoy and none for package authz. The longest
// are some kilobytes.
func Patterns() []string {
	return []string{around(spellings()), opened()}
}

// around is a regular expression for a segment that has one of the expressions in it,
// each of which begins with a group of four characters.
func around(all []string) string {
	return group + "*(?:" + strings.Join(all, "|") + ").*"
}

const group = "(?:" + anyCharacter + "{4})"

// spellings are the sequences and the exponents in base64, at each place where they may
// stand.
func spellings() []string {
	var all []string
	for _, s := range sequences() {
		for offset := range 3 {
			all = append(all, s.spelled(offset))
		}
	}
	for _, e := range exponents() {
		all = append(all, e.spelled()...)
	}
	return all
}

// The bytes that the sequences are made of. Some cubes have more than their names say.
var (
	control   = cube{0xE0, 0x00}
	closing   = cube{0xDF, ']'} // ] }
	opening   = cube{0xDF, '['} // [ {
	digit     = cube{0xF0, '0'} // 0-9 and : ; < = > ?
	sign      = cube{0xF8, '('} // + - and ( ) * , . /
	letterE   = cube{0xDF, 'E'} // E e
	letters   = cube{0xC0, '@'} // A-Z a-z and @ [ \ ] ^ _ ` { | } ~ DEL
	comma     = only(',')
	space     = only(' ')
	quotation = only('"')
	single    = only('\'')
	backslash = only('\\')
)

// sequences are what no JSON has outside its texts, but for spaces in places where nobody
// writes them, and what no text of JSON has within.
func sequences() []sequence {
	all := []sequence{
		{control}, // within a text; outside, tabs and line breaks
		{space, closing}, {space, comma}, {comma, space, space}, {only('['), space},
		{comma, closing},
		// Texts and names in single quotation marks.
		{only(':'), single}, {only('['), single}, {comma, single}, {space, single},
		{backslash, single}, {backslash, only('U')},
		// Arrays of arrays or of objects: see opened. None of their elements is either, so
		// that those who look through an array with Envoy's matchers can tell its texts.
		{only('['), opening}, {comma, opening}, {comma, space, opening},
	}
	for _, c := range except('"', '}') {
		all = append(all, sequence{only('{'), c}) // a name without quotation marks
	}
	// Such a name is preceded by a value and a comma.
	for _, end := range []sequence{{quotation}, {closing}, {digit}, literal("rue"), literal("lse"), literal("ull")} {
		for _, next := range []cube{letters, only('$')} {
			all = append(all, concat(end, comma, next), concat(end, comma, space, next))
		}
	}
	return all
}

func concat(s sequence, more ...cube) sequence { return append(append(sequence{}, s...), more...) }

// exponent is the end of a number whose exponent has five digits or more: what precedes
// the digits, and what follows.
type exponent struct{ before, after sequence }

func exponents() []exponent {
	var all []exponent
	for _, before := range []sequence{{digit, letterE}, {digit, letterE, sign}} {
		for _, after := range []cube{comma, closing} {
			all = append(all, exponent{before, sequence{after}})
		}
	}
	return all
}

// spelled are the regular expressions for it, for each offset and for each remainder of
// the count of digits by three. Groups of four characters that are nothing but digits
// may be repeated.
func (e exponent) spelled() []string {
	const least = 5
	digits := sequence{digit, digit, digit}
	var all []string
	for offset := range 3 {
		for n := least; n < least+3; n++ {
			s := append(make(sequence, offset), e.before...)
			for range n {
				s = append(s, digit)
			}
			cut := (offset + len(e.before) + 2) / 3 * 3 // at or behind the first digit
			s = append(s, e.after...)
			all = append(all, s[:cut].spelled(0)+"(?:"+digits.spelled(0)+")*"+s[cut:].spelled(0))
		}
	}
	return all
}

// opened is a regular expression for a segment in which more than maxOpened groups of
// four characters have a bracket or a brace that opens. Two of them that follow each
// other, the other expressions find: so no more open than there are groups.
func opened() string {
	var all []string
	for offset := range 3 {
		for _, c := range []byte{'[', '{'} {
			s := append(make(sequence, offset), only(c))
			for len(s) < 3 {
				s = append(s, anyByte)
			}
			all = append(all, s.spelled(0))
		}
	}
	return "(?:" + group + "*(?:" + strings.Join(all, "|") + ")){" + strconv.Itoa(maxOpened+1) + "}.*"
}
