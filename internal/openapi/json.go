package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	// maxDepth bounds how deep a body nests. The bodies of APIs stay below ten.
	maxDepth = 32
	// maxShownName bounds how much of a name of a client's is said again.
	maxShownName = 64
)

// decode reads data as one JSON value, and refuses whatever two readers could take
// differently: a name that is there twice in an object, bytes that are not UTF-8,
// bytes behind the value. Numbers are float64, as the validator wants them. The
// fault has the place and no value.
func decode(data []byte) (any, *Fault) {
	if !utf8.Valid(data) {
		return nil, bodyFault(nil, "must be UTF-8")
	}
	d := &decoder{json.NewDecoder(bytes.NewReader(data))}
	value, fault := d.value(nil)
	if fault != nil {
		return nil, fault
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, bodyFault(nil, fmt.Sprintf("must be one JSON value, and something stands behind it at byte %d", d.InputOffset()))
	}
	return value, nil
}

type decoder struct{ *json.Decoder }

func bodyFault(at []string, rule string) *Fault {
	return &Fault{In: "body", Pointer: pointer(at), Rule: rule}
}

func (d *decoder) value(at []string) (any, *Fault) {
	token, err := d.Token()
	if err != nil {
		return nil, d.malformed(at)
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if len(at) >= maxDepth {
		return nil, bodyFault(at, fmt.Sprintf("must not nest deeper than %d", maxDepth))
	}
	if delim == '{' {
		return d.object(at)
	}
	return d.array(at)
}

func (d *decoder) object(at []string) (any, *Fault) {
	object := map[string]any{}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, d.malformed(at)
		}
		here := append(at[:len(at):len(at)], name)
		if _, twice := object[name]; twice {
			return nil, bodyFault(here, "must not be there twice")
		}
		value, fault := d.value(here)
		if fault != nil {
			return nil, fault
		}
		object[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, d.malformed(at)
	}
	return object, nil
}

func (d *decoder) array(at []string) (any, *Fault) {
	array := []any{}
	for d.More() {
		value, fault := d.value(append(at[:len(at):len(at)], fmt.Sprint(len(array))))
		if fault != nil {
			return nil, fault
		}
		array = append(array, value)
	}
	if _, err := d.Token(); err != nil {
		return nil, d.malformed(at)
	}
	return array, nil
}

func (d *decoder) malformed(at []string) *Fault {
	return bodyFault(at, fmt.Sprintf("must be JSON: it is malformed behind byte %d", d.InputOffset()))
}

// pointer is a JSON pointer (RFC 6901). Names are cut off where they are long: they
// are the client's.
func pointer(at []string) string {
	var b strings.Builder
	for _, name := range at {
		if len(name) > maxShownName {
			name = strings.ToValidUTF8(name[:maxShownName], "") + "…"
		}
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	return b.String()
}
