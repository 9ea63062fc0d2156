package authz

import (
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// maxJSONDepth bounds how deep objects and arrays nest. Real tokens stay
// below five.
const maxJSONDepth = 32

// maxExponent bounds the exponent of a number: beyond it a few bytes stand
// for a number that nobody can write out.
const maxExponent = 9999

// errJSON is the only error of the decoder. Where the fault is would tell a
// client no more, and would cost an allocation for each hostile token.
var errJSON = errors.New("not one strict JSON object")

// decodeObject reads data as one JSON object (RFC 8259) and refuses whatever
// two readers could take differently: bytes after the object, a name that is
// there twice at any depth, invalid UTF-8, half a surrogate pair. Package
// encoding/json lets each of these pass. Values are nil, bool, string,
// json.Number (as written), []any and map[string]any.
func decodeObject(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, errJSON
	}
	d := decoder{data: data}
	d.space()
	if d.peek() != '{' {
		return nil, errJSON
	}
	object, ok := d.object(1)
	d.space()
	if !ok || d.at != len(d.data) {
		return nil, errJSON
	}
	return object, nil
}

// decoder walks over data. Each method reads one thing at at, and reports
// whether it was there.
type decoder struct {
	data []byte
	at   int
}

// peek returns the next byte, or 0 at the end, which begins nothing in JSON.
func (d *decoder) peek() byte {
	if d.at < len(d.data) {
		return d.data[d.at]
	}
	return 0
}

func (d *decoder) take(c byte) bool {
	if d.peek() != c || c == 0 {
		return false
	}
	d.at++
	return true
}

func (d *decoder) space() {
	for d.at < len(d.data) {
		switch d.data[d.at] {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return
		}
	}
}

func (d *decoder) value(depth int) (any, bool) {
	switch c := d.peek(); {
	case c == '{':
		return d.object(depth)
	case c == '[':
		return d.array(depth)
	case c == '"':
		return d.string()
	case c == 't':
		return true, d.word("true")
	case c == 'f':
		return false, d.word("false")
	case c == 'n':
		return nil, d.word("null")
	default:
		return d.number()
	}
}

func (d *decoder) word(w string) bool {
	if len(d.data)-d.at < len(w) || string(d.data[d.at:d.at+len(w)]) != w {
		return false
	}
	d.at += len(w)
	return true
}

func (d *decoder) object(depth int) (map[string]any, bool) {
	if depth > maxJSONDepth || !d.take('{') {
		return nil, false
	}
	object := map[string]any{}
	d.space()
	if d.take('}') {
		return object, true
	}
	for {
		if !d.member(object, depth) {
			return nil, false
		}
		d.space()
		if d.take('}') {
			return object, true
		}
		if !d.take(',') {
			return nil, false
		}
	}
}

func (d *decoder) member(object map[string]any, depth int) bool {
	d.space()
	name, ok := d.string()
	if !ok {
		return false
	}
	if _, twice := object[name]; twice {
		return false
	}
	d.space()
	if !d.take(':') {
		return false
	}
	d.space()
	value, ok := d.value(depth + 1)
	object[name] = value
	return ok
}

func (d *decoder) array(depth int) ([]any, bool) {
	if depth > maxJSONDepth || !d.take('[') {
		return nil, false
	}
	array := []any{}
	d.space()
	if d.take(']') {
		return array, true
	}
	for {
		d.space()
		value, ok := d.value(depth + 1)
		if !ok {
			return nil, false
		}
		array = append(array, value)
		d.space()
		if d.take(']') {
			return array, true
		}
		if !d.take(',') {
			return nil, false
		}
	}
}

// string reads a string. Most have no escapes, and are copied once.
func (d *decoder) string() (string, bool) {
	if !d.take('"') {
		return "", false
	}
	start := d.at
	for d.at < len(d.data) {
		switch c := d.data[d.at]; {
		case c == '"':
			d.at++
			return string(d.data[start : d.at-1]), true
		case c == '\\':
			return d.escaped(start)
		case c < ' ':
			return "", false
		default:
			d.at++
		}
	}
	return "", false
}

// escaped reads the rest of a string that began at start and has an escape at at.
func (d *decoder) escaped(start int) (string, bool) {
	text := append([]byte(nil), d.data[start:d.at]...)
	for d.at < len(d.data) {
		c := d.data[d.at]
		d.at++
		switch {
		case c == '"':
			return string(text), true
		case c == '\\':
			r, ok := d.escape()
			if !ok {
				return "", false
			}
			text = utf8.AppendRune(text, r)
		case c < ' ':
			return "", false
		default:
			text = append(text, c)
		}
	}
	return "", false
}

// escape reads what stands behind a backslash.
func (d *decoder) escape() (rune, bool) {
	c := d.peek()
	d.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
		return d.codePoint()
	default:
		return 0, false
	}
}

// codePoint reads the four digits behind \u, and the second half of a
// surrogate pair behind a first one. A half alone is refused: replaced by
// U+FFFD, two different names would become one.
func (d *decoder) codePoint() (rune, bool) {
	first, ok := d.hex4()
	if !ok || first < 0xD800 || first > 0xDFFF {
		return first, ok
	}
	if first > 0xDBFF || !d.word(`\u`) {
		return 0, false
	}
	second, ok := d.hex4()
	if !ok || second < 0xDC00 || second > 0xDFFF {
		return 0, false
	}
	return 0x10000 + (first-0xD800)<<10 + (second - 0xDC00), true
}

func (d *decoder) hex4() (rune, bool) {
	if len(d.data)-d.at < 4 {
		return 0, false
	}
	var r rune
	for _, c := range d.data[d.at : d.at+4] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 + rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 + rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 + rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	d.at += 4
	return r, true
}

func (d *decoder) number() (any, bool) {
	start := d.at
	d.take('-')
	if !d.take('0') && !d.digits() {
		return nil, false
	}
	if d.take('.') && !d.digits() {
		return nil, false
	}
	if (d.take('e') || d.take('E')) && !d.exponent() {
		return nil, false
	}
	return json.Number(d.data[start:d.at]), true
}

func (d *decoder) exponent() bool {
	if !d.take('+') {
		d.take('-')
	}
	start := d.at
	if !d.digits() {
		return false
	}
	n, err := strconv.Atoi(string(d.data[start:d.at]))
	return err == nil && n <= maxExponent
}

func (d *decoder) digits() bool {
	start := d.at
	for '0' <= d.peek() && d.peek() <= '9' {
		d.at++
	}
	return d.at > start
}
