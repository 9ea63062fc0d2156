package jsontemplate

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// MaxText is the longest template, in bytes.
const MaxText = 8192

// Template is a compiled template. It is immutable, and may be used by many goroutines
// at once.
type Template struct {
	root  node
	reads Reads
}

// node writes a part of what a template makes.
type node interface {
	// write writes the part. absent tells of one that is not there, of which nothing
	// has been written.
	write(e *encoder, f *Facts) (absent bool, err error)
}

type (
	// fixed is a value that stands in the template.
	fixed struct{ value ref.Val }
	// computed is a text that is one ${…}: what it comes to, of whatever type.
	computed struct{ *expression }
	// mixed is a text with ${…} in it.
	mixed []any // string or *expression
	// members are those of an object.
	members []member
	// elements are those of an array.
	elements []node
)

type member struct {
	name string
	node node
}

// Compile reads a template: a JSON document with ${…} in its texts, or one ${…} alone.
// The error says what is wrong with it, and where: it is a rule in words.
func Compile(text string, way Direction) (*Template, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("must be at most %d bytes", MaxText)
	}
	c := &compiler{way: way}
	var err error
	out := &Template{}
	if alone := strings.TrimSpace(text); strings.HasPrefix(alone, "${") {
		out.root, err = c.text(alone)
		if _, ok := out.root.(computed); err == nil && !ok {
			err = errors.New("must be JSON, or one ${…} alone")
		}
	} else {
		out.root, err = c.document(text)
	}
	if err != nil {
		return nil, err
	}
	out.reads = c.reads
	slices.Sort(out.reads.Claims)
	out.reads.Claims = slices.Compact(out.reads.Claims)
	return out, nil
}

// Reads is what the template reads beside the body.
func (t *Template) Reads() Reads { return t.reads }

type compiler struct {
	way         Direction
	reads       Reads
	expressions int
}

func (c *compiler) document(text string) (node, error) {
	value, err := decode([]byte(text))
	if err != nil {
		return nil, err
	}
	return c.node(value, "")
}

// node is a part of a template. at is a JSON pointer to it (RFC 6901).
func (c *compiler) node(value ref.Val, at string) (node, error) {
	switch v := value.(type) {
	case *object:
		return c.members(v, at)
	case traits.Lister:
		out := make(elements, count(v))
		for i := range out {
			var err error
			if out[i], err = c.node(v.Get(types.Int(i)), at+"/"+strconv.Itoa(i)); err != nil {
				return nil, err
			}
		}
		return out, nil
	case types.String:
		n, err := c.text(string(v))
		if err != nil && at != "" {
			return nil, fmt.Errorf("at %s: %w", at, err)
		}
		return n, err
	}
	return fixed{value}, nil
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func (c *compiler) members(o *object, at string) (node, error) {
	out := members{}
	for _, name := range o.names {
		here := at + "/" + pointerEscapes.Replace(name)
		if strings.Contains(name, "${") {
			return nil, fmt.Errorf("at %s: must not have ${…} in a name", here)
		}
		n, err := c.node(o.member[name], here)
		if err != nil {
			return nil, err
		}
		out = append(out, member{name, n})
	}
	return out, nil
}

// text is a text of a template, with its ${…}; $${ is ${.
func (c *compiler) text(text string) (node, error) {
	var out mixed
	plain := ""
	for text != "" {
		before, rest, found := strings.Cut(text, "${")
		if kept, escaped := strings.CutSuffix(before, "$"); found && escaped {
			plain, text = plain+kept+"${", rest
			continue
		}
		if plain += before; !found {
			break
		}
		end := closing(rest)
		if end < 0 {
			return nil, errors.New("has a ${ without its }: write $${ for the characters themselves")
		}
		if c.expressions++; c.expressions > maxExpressions {
			return nil, fmt.Errorf("must have at most %d expressions", maxExpressions)
		}
		e, err := compileExpression(rest[:end], c.way, &c.reads)
		if err != nil {
			return nil, err
		}
		if plain != "" {
			out, plain = append(out, plain), ""
		}
		out, text = append(out, e), rest[end+1:]
	}
	if plain != "" {
		out = append(out, plain)
	}
	switch {
	case len(out) == 0:
		return fixed{types.String("")}, nil
	case len(out) == 1:
		if e, ok := out[0].(*expression); ok {
			return computed{e}, nil
		}
		return fixed{types.String(out[0].(string))}, nil
	}
	return out, nil
}

// closing is where the } stands that ends an expression, or -1. Braces and quotes of
// CEL are looked at, escapes in texts too; raw texts and those of three quotes need no
// word of their own where their quotes are even.
func closing(text string) int {
	depth := 0
	var quote byte
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0:
			if c == '\\' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '{':
			depth++
		case c == '}' && depth == 0:
			return i
		case c == '}':
			depth--
		}
	}
	return -1
}
