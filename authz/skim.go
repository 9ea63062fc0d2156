package authz

import "bytes"

// issuerIsOther reports whether claims, not decoded yet, name for certain another
// issuer than this one. It believes nothing and builds nothing: it can only refuse
// what the decoder would refuse as well, for a price that is far below that of
// decoding what anybody may have made up. Where it cannot tell, as with a name or
// an issuer that has escapes, it says no, and the signature comes next.
func issuerIsOther(payload []byte, issuer string) bool {
	d := decoder{data: payload}
	d.space()
	if !d.take('{') {
		return false
	}
	other := false
	for seen := false; ; {
		d.space()
		name, ok := d.plainText()
		if d.space(); !ok || !d.take(':') {
			return false
		}
		d.space()
		if string(name) == "iss" {
			value, ok := d.plainText()
			if !ok || seen {
				return false // of the wrong type, or there twice
			}
			seen, other = true, string(value) != issuer
		} else if !d.skip() {
			return false
		}
		if d.space(); !d.take(',') {
			return other && d.peek() == '}'
		}
	}
}

// plainText reads a text without escapes.
func (d *decoder) plainText() ([]byte, bool) {
	if !d.take('"') {
		return nil, false
	}
	end := bytes.IndexByte(d.data[d.at:], '"')
	if end < 0 {
		return nil, false
	}
	text := d.data[d.at : d.at+end]
	d.at += end + 1
	return text, bytes.IndexByte(text, '\\') < 0
}

// skip passes over a value, and does not care for what is wrong within it.
func (d *decoder) skip() bool {
	for open := 0; d.at < len(d.data); {
		switch c := d.data[d.at]; c {
		case '"':
			if !d.skipText() {
				return false
			}
			if open == 0 {
				return true
			}
			continue
		case '{', '[':
			open++
		case '}', ']':
			if open == 0 {
				return true // of what it stands in
			}
			if open--; open == 0 {
				d.at++
				return true
			}
		case ',':
			if open == 0 {
				return true
			}
		}
		d.at++
	}
	return false
}

func (d *decoder) skipText() bool {
	for d.at++; d.at < len(d.data); d.at++ {
		switch d.data[d.at] {
		case '\\':
			d.at++
		case '"':
			d.at++
			return true
		}
	}
	return false
}
