package jsontemplate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// errTooLarge is a result of more bytes than it may have.
var errTooLarge = errors.New("what the template makes is too large")

// encoder writes values as JSON, up to a bound.
type encoder struct {
	bytes.Buffer
	most  int
	depth int
}

// value writes a value.
func (e *encoder) value(v ref.Val) error {
	if e.Len() > e.most {
		return errTooLarge
	}
	switch v := v.(type) {
	case types.Null:
		e.WriteString("null")
	case types.Bool:
		e.WriteString(strconv.FormatBool(bool(v)))
	case types.String:
		return e.text(string(v))
	case types.Int:
		e.WriteString(strconv.FormatInt(int64(v), 10))
	case types.Uint:
		e.WriteString(strconv.FormatUint(uint64(v), 10))
	case number:
		e.WriteString(string(v))
	case types.Double:
		return e.double(float64(v))
	case traits.Mapper:
		return e.object(v)
	case traits.Lister:
		return e.array(v)
	case *types.Err:
		return v
	default:
		return fmt.Errorf("a value of type %s is none of JSON", v.Type().TypeName())
	}
	return nil
}

// text writes a text. What is HTML in it stays as it is: the body says what it is.
func (e *encoder) text(s string) error {
	if e.Len()+len(s) > e.most {
		return errTooLarge
	}
	w := json.NewEncoder(&e.Buffer)
	w.SetEscapeHTML(false)
	if err := w.Encode(s); err != nil {
		return err
	}
	e.Truncate(e.Len() - 1) // Encode ends a line
	return nil
}

func (e *encoder) double(f float64) error {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return errors.New("a number came to none that JSON has")
	}
	data, err := json.Marshal(f)
	e.Write(data)
	return err
}

func (e *encoder) object(m traits.Mapper) error {
	names, fault := namesOf(m)
	if fault != nil {
		return fault.(*types.Err)
	}
	return e.nested('{', '}', len(names), func(i int) error {
		if err := e.text(names[i]); err != nil {
			return err
		}
		e.WriteByte(':')
		return e.value(m.Get(types.String(names[i])))
	})
}

func (e *encoder) array(l traits.Lister) error {
	return e.nested('[', ']', count(l), func(i int) error { return e.value(l.Get(types.Int(i))) })
}

func (e *encoder) nested(open, closing byte, n int, each func(i int) error) error {
	if e.depth++; e.depth > 2*maxDepth {
		return errors.New("what the template makes nests too deep")
	}
	e.WriteByte(open)
	for i := range n {
		if i > 0 {
			e.WriteByte(',')
		}
		if err := each(i); err != nil {
			return err
		}
	}
	e.WriteByte(closing)
	e.depth--
	return nil
}
