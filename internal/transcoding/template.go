package transcoding

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// template is a path of google.api.http
// (https://github.com/googleapis/googleapis/blob/master/google/api/http.proto,
// "Path template syntax").
type template struct {
	segments  []segment
	variables []variable
	// verb is the literal behind a colon at the end; empty is none.
	verb string
}

// segment is one of a path.
type segment struct {
	// literal is a text; empty is any one segment, or with rest any number of them.
	literal string
	rest    bool
}

// variable is a field whose value is in some segments.
type variable struct {
	field    string
	from, to int // to is behind the last
}

var (
	fieldForm   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)
	literalForm = regexp.MustCompile(`^[A-Za-z0-9._~!$&'()+,;@%-]+$`)
)

// parseTemplate reads a path. The error is the rule that it breaks.
func parseTemplate(text string) (template, error) {
	var t template
	rest, absolute := strings.CutPrefix(text, "/")
	if !absolute {
		return t, errors.New("must begin with /")
	}
	// A colon in a variable is none of the path's.
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.ContainsAny(rest[i:], "/}") {
		rest, t.verb = rest[:i], rest[i+1:]
		if !literalForm.MatchString(t.verb) {
			return t, errors.New("must have a plain word behind its colon")
		}
	}
	for rest != "" {
		part, next := rest, ""
		if rest[0] == '{' {
			end := strings.IndexByte(rest, '}')
			if end < 0 {
				return t, errors.New("has a { that nothing closes")
			}
			part, next = rest[:end+1], rest[end+1:]
			if err := t.variable(part[1:end]); err != nil {
				return t, err
			}
		} else {
			if i := strings.IndexByte(rest, '/'); i >= 0 {
				part, next = rest[:i], rest[i:]
			}
			if err := t.segment(part); err != nil {
				return t, err
			}
		}
		slash := false
		if rest, slash = strings.CutPrefix(next, "/"); next != "" && (!slash || rest == "") {
			return t, fmt.Errorf("must have a / and a segment behind %q", part)
		}
	}
	if len(t.segments) == 0 {
		return t, errors.New("must have a segment")
	}
	for _, s := range t.segments[:len(t.segments)-1] {
		if s.rest {
			return t, errors.New("must have ** as its last segment")
		}
	}
	return t, nil
}

func (t *template) variable(text string) error {
	field, pattern, given := strings.Cut(text, "=")
	if !given {
		pattern = "*"
	}
	if !fieldForm.MatchString(field) {
		return fmt.Errorf("must have the name of a field for its variable %q", text)
	}
	for _, v := range t.variables {
		if v.field == field {
			return fmt.Errorf("must not have the variable %s twice", field)
		}
	}
	from := len(t.segments)
	for part := range strings.SplitSeq(pattern, "/") {
		if err := t.segment(part); err != nil {
			return err
		}
	}
	t.variables = append(t.variables, variable{field, from, len(t.segments)})
	return nil
}

func (t *template) segment(part string) error {
	switch {
	case part == "*":
		t.segments = append(t.segments, segment{})
	case part == "**":
		t.segments = append(t.segments, segment{rest: true})
	case !literalForm.MatchString(part):
		return fmt.Errorf("must not have the segment %q", part)
	default:
		t.segments = append(t.segments, segment{literal: part})
	}
	return nil
}

// shape is the same for templates that take the same paths.
func (t *template) shape() string {
	var b strings.Builder
	for _, s := range t.segments {
		switch {
		case s.rest:
			b.WriteString("/**")
		case s.literal == "":
			b.WriteString("/*")
		default:
			b.WriteString("/" + s.literal)
		}
	}
	return b.String() + ":" + t.verb
}
