package jsontemplate

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Facts are what a template is applied to. What it does not read is not asked for.
type Facts struct {
	// Method is as it came. Host is without its port, Path without the query, and
	// nothing in them or in Query is decoded.
	Method, Host, Path, Query string
	// Headers returns the request's values by names in lower case, those of several
	// lines joined by commas. Nil is no headers.
	Headers func() map[string]string
	// Claims are those texts that the judge tells of the caller, by their names; User
	// and Tenant are empty where there is none.
	Claims       map[string]string
	User, Tenant string
	// Status and AnswerHeaders are an answer's.
	Status        int
	AnswerHeaders func() map[string]string

	body ref.Val
}

// Kind is what kind of fault a Fault is.
type Kind int

// The kinds.
const (
	// NotJSON: the body is not JSON, or not the same JSON for every reader.
	NotJSON Kind = iota
	// NotFitting: the template asks for what the body has not, or makes of it more
	// than it may.
	NotFitting
)

// Fault is why a body could not be rewritten.
type Fault struct {
	Kind Kind
	// Rule says what is wrong, in words that have no value of the body in them.
	Rule string
}

// Error implements error.
func (f *Fault) Error() string { return "the body " + f.Rule }

// Apply makes the new body, of at most so many bytes. The error is a *Fault.
func (t *Template) Apply(body []byte, f Facts, most int) ([]byte, error) {
	value, err := decode(body)
	if err != nil {
		return nil, &Fault{NotJSON, err.Error()}
	}
	f.body = value
	e := &encoder{most: most}
	e.Grow(min(most, len(body)))
	absent, err := t.root.write(e, &f)
	switch {
	case errors.Is(err, errTooLarge) || e.Len() > most:
		return nil, &Fault{NotFitting, fmt.Sprintf("becomes larger than %d bytes", most)}
	case err != nil:
		return nil, &Fault{NotFitting, shown(err)}
	case absent:
		return nil, &Fault{NotFitting, "has nothing of what the template asks for"}
	}
	return e.Bytes(), nil
}

// maxShown bounds how much of a name is said again.
const maxShown = 64

// shown is what may be said of an error: CEL's others quote values.
func shown(err error) string {
	const missing = "no such key: "
	switch text := err.Error(); {
	case strings.Contains(text, missing):
		name := text[strings.Index(text, missing)+len(missing):]
		if len(name) > maxShown {
			name = strings.ToValidUTF8(name[:maxShown], "") + "…"
		}
		return fmt.Sprintf("lacks what the template asks for: %q", name)
	case strings.Contains(text, "cost limit exceeded"):
		return "takes too long to rewrite"
	}
	return "has something of another type than the template asks for"
}

func (n fixed) write(e *encoder, _ *Facts) (bool, error) { return false, e.value(n.value) }

func (n computed) write(e *encoder, f *Facts) (bool, error) {
	value, err := n.value(activation{f})
	if err != nil {
		return false, err
	}
	if o, ok := value.(*types.Optional); ok {
		if !o.HasValue() {
			return true, nil
		}
		value = o.GetValue()
	}
	return false, e.value(value)
}

func (n mixed) write(e *encoder, f *Facts) (bool, error) {
	var b strings.Builder
	for _, part := range n {
		if text, ok := part.(string); ok {
			b.WriteString(text)
			continue
		}
		value, err := part.(*expression).value(activation{f})
		if err != nil {
			return false, err
		}
		text, err := textOf(value)
		if err != nil {
			return false, err
		}
		if b.WriteString(text); b.Len() > e.most {
			return false, errTooLarge
		}
	}
	return false, e.text(b.String())
}

// textOf is a value within a text. What is not there is the empty text.
func textOf(value ref.Val) (string, error) {
	switch v := value.(type) {
	case *types.Optional:
		if !v.HasValue() {
			return "", nil
		}
		return textOf(v.GetValue())
	case types.String:
		return string(v), nil
	case number:
		return string(v), nil
	case types.Int:
		return strconv.FormatInt(int64(v), 10), nil
	case types.Uint:
		return strconv.FormatUint(uint64(v), 10), nil
	case types.Bool:
		return strconv.FormatBool(bool(v)), nil
	case types.Double:
		e := encoder{most: maxShown}
		err := e.double(float64(v))
		return e.String(), err
	}
	return "", fmt.Errorf("a value of type %s is no text", value.Type().TypeName())
}

func (n members) write(e *encoder, f *Facts) (bool, error) {
	return false, e.present('{', '}', len(n), func(i int) (bool, error) {
		if err := e.text(n[i].name); err != nil {
			return false, err
		}
		e.WriteByte(':')
		return n[i].node.write(e, f)
	})
}

func (n elements) write(e *encoder, f *Facts) (bool, error) {
	return false, e.present('[', ']', len(n), func(i int) (bool, error) { return n[i].write(e, f) })
}

// present writes those of n parts that are there, within brackets and apart by commas.
func (e *encoder) present(opening, closing byte, n int, write func(i int) (absent bool, err error)) error {
	e.WriteByte(opening)
	empty := true
	for i := range n {
		before := e.Len()
		if !empty {
			e.WriteByte(',')
		}
		absent, err := write(i)
		if err != nil {
			return err
		}
		if absent {
			e.Truncate(before)
			continue
		}
		empty = false
	}
	e.WriteByte(closing)
	return nil
}

// activation gives CEL the facts by the names of the variables.
type activation struct{ *Facts }

func (a activation) Parent() cel.Activation { return nil }

func (a activation) ResolveName(name string) (any, bool) {
	texts := func(of func() map[string]string) (any, bool) {
		if of == nil {
			return map[string]string{}, true
		}
		return of(), true
	}
	switch name {
	case varBody:
		return a.body, true
	case varClaims:
		return a.Claims, true
	case varUser:
		return a.User, true
	case varTenant:
		return a.Tenant, true
	case varMethod:
		return a.Method, true
	case varPath:
		return a.Path, true
	case varHost:
		return a.Host, true
	case varQuery:
		return a.Query, true
	case varHeaders:
		return texts(a.Headers)
	case varStatus:
		return int64(a.Status), true
	case varAnswers:
		return texts(a.AnswerHeaders)
	}
	return nil, false
}
