package jsontemplate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// maxDepth bounds how deep a body nests. The bodies of APIs stay below ten.
const maxDepth = 64

// decode reads data as one JSON value, and refuses whatever two readers could take
// differently: a name that is there twice in an object, bytes that are not UTF-8, half
// of a surrogate pair, bytes behind the value. The fault has the place and no value.
func decode(data []byte) (ref.Val, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("must be UTF-8")
	}
	if at := loneSurrogate(data); at >= 0 {
		return nil, fmt.Errorf("must be JSON: at byte %d is half of a surrogate pair", at)
	}
	d := &decoder{json.NewDecoder(bytes.NewReader(data))}
	d.UseNumber()
	value, err := d.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("must be one JSON value, and something stands behind it at byte %d", d.InputOffset())
	}
	return value, nil
}

type decoder struct{ *json.Decoder }

func (d *decoder) malformed() error {
	return fmt.Errorf("must be JSON: it is malformed behind byte %d", d.InputOffset())
}

func (d *decoder) value(depth int) (ref.Val, error) {
	token, err := d.Token()
	if err != nil {
		return nil, d.malformed()
	}
	switch t := token.(type) {
	case nil:
		return types.NullValue, nil
	case bool:
		return types.Bool(t), nil
	case string:
		return types.String(t), nil
	case json.Number:
		return numberOf(string(t)), nil
	}
	if depth >= maxDepth {
		return nil, fmt.Errorf("must not nest deeper than %d", maxDepth)
	}
	if token == json.Delim('{') {
		return d.object(depth + 1)
	}
	return d.array(depth + 1)
}

func (d *decoder) object(depth int) (ref.Val, error) {
	o := newObject(0)
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, d.malformed()
		}
		if _, twice := o.member[name]; twice {
			return nil, fmt.Errorf("must not have a member twice: a second one of its name ends at byte %d", d.InputOffset())
		}
		value, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		o.set(name, value)
	}
	if _, err := d.Token(); err != nil {
		return nil, d.malformed()
	}
	return o, nil
}

func (d *decoder) array(depth int) (ref.Val, error) {
	elements := []ref.Val{}
	for d.More() {
		value, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		elements = append(elements, value)
	}
	if _, err := d.Token(); err != nil {
		return nil, d.malformed()
	}
	return types.NewRefValList(types.DefaultTypeAdapter, elements), nil
}

// loneSurrogate is where an escape stands that is half of a pair (RFC 8259, section
// 8.2), or -1: encoding/json would put another character in its place without a word.
func loneSurrogate(data []byte) int {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		unit, ok := escape(data[i:])
		switch {
		case !ok:
			i++ // what is escaped is no escape
		case unit < 0xD800 || unit > 0xDFFF:
			i += 5
		default:
			second, ok := escape(data[min(i+6, len(data)):])
			if unit > 0xDBFF || !ok || second < 0xDC00 || second > 0xDFFF {
				return i
			}
			i += 11
		}
	}
	return -1
}

// escape is the UTF-16 unit that data begins with, written as \uXXXX.
func escape(data []byte) (unit int, ok bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	for _, c := range data[2:6] {
		digit := bytes.IndexByte([]byte("0123456789abcdef"), c|0x20)
		if c < '0' || digit < 0 {
			return 0, false
		}
		unit = unit<<4 | digit
	}
	return unit, true
}
