package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// PathPattern is a parsed Match.Path.
//
// A path is cut at its slashes, after the first: / is one empty segment, /a/b
// is two segments, and /a/ is a and an empty one, so it is another path than
// /a. A request's path is cut the same way after Envoy has normalized it.
type PathPattern struct {
	// Segments are matched one for one from the left.
	Segments []Segment
	// Rest tells that the pattern ends in /**: any further segments match, and
	// so do none. /a/** takes /a, /a/ and /a/b, but not /ab.
	Rest bool
}

// Segment is one part of a path: a literal, or a variable that takes any one
// segment but an empty one.
type Segment struct {
	// Literal must be equal, byte for byte. It is empty for a variable, and
	// after a final slash.
	Literal string
	// Variable is the variable's name, and empty for a literal.
	Variable string
}

// maxPath is how many bytes a path may have: as many as every server should
// take of a request's (RFC 9110, section 4.1).
const maxPath = 8000

// ParsePath reads a Match.Path. The error is the rule that the path breaks.
func ParsePath(path string) (PathPattern, error) {
	rest, absolute := strings.CutPrefix(path, "/")
	switch {
	case !absolute:
		return PathPattern{}, errors.New("must begin with /")
	case len(path) > maxPath:
		return PathPattern{}, fmt.Errorf("must have at most %d bytes", maxPath)
	case strings.Contains(path, "//"):
		return PathPattern{}, errors.New("must not contain //: the gateway merges slashes before it matches")
	case strings.ContainsAny(path, "?#"):
		return PathPattern{}, errors.New("must not contain ? or #: match the query by the field query")
	}
	var p PathPattern
	parts := strings.Split(rest, "/")
	if last := len(parts) - 1; parts[last] == "**" {
		parts, p.Rest = parts[:last], true
	}
	for _, part := range parts {
		segment, err := parseSegment(part)
		if err != nil {
			return PathPattern{}, err
		}
		if segment.Variable != "" && p.hasVariable(segment.Variable) {
			return PathPattern{}, fmt.Errorf("must not name the variable %s twice", shown(segment.Variable))
		}
		p.Segments = append(p.Segments, segment)
	}
	return p, nil
}

func (p PathPattern) hasVariable(name string) bool {
	for _, s := range p.Segments {
		if s.Variable == name {
			return true
		}
	}
	return false
}

var variableForm = regexp.MustCompile(`^\{([A-Za-z_][A-Za-z0-9_]*)\}$`)

func parseSegment(part string) (Segment, error) {
	if name := variableForm.FindStringSubmatch(part); name != nil {
		return Segment{Variable: name[1]}, nil
	}
	switch {
	case part == "." || part == "..":
		return Segment{}, errors.New("must not contain . or .. as a segment: the gateway resolves them before it matches")
	case strings.ContainsAny(part, "{}"):
		return Segment{}, errors.New("must have a variable as a whole segment, as /users/{id}, its name of letters, digits and _")
	case strings.Contains(part, "**"):
		return Segment{}, errors.New("must have ** as the whole last segment, as /users/**")
	case strings.Contains(part, "*"):
		return Segment{}, errors.New("must not contain *: one segment is {name}, all that follow are /**")
	}
	return Segment{Literal: part}, literalRule(part)
}

// literalRule is what keeps a literal from ever being equal to a part of a
// normalized path (RFC 3986, sections 2 and 6.2.2).
func literalRule(part string) error {
	for i, r := range part {
		switch {
		case r == '%':
			if err := escapeRule(part[i:]); err != nil {
				return err
			}
		case r == '\\':
			return errors.New(`must not contain \: the gateway takes it for a slash`)
		case r >= utf8.RuneSelf || !unreserved(byte(r)) && !strings.ContainsRune("!$&'()+,;=:@", r):
			return fmt.Errorf("must have %s percent-encoded", strconv.QuoteRune(r))
		}
	}
	return nil
}

// escapeRule judges the percent-encoded byte that s begins with.
func escapeRule(s string) error {
	if len(s) < 3 {
		return errors.New("must have two hexadecimal digits after %")
	}
	escape := s[:3]
	value, err := strconv.ParseUint(escape[1:], 16, 8)
	decoded := byte(value)
	switch {
	case err != nil:
		return errors.New("must have two hexadecimal digits after %")
	case unreserved(decoded):
		return fmt.Errorf("must have %s as the plain character %c", escape, decoded)
	case decoded == '/' || decoded == '\\':
		return fmt.Errorf("must not contain %s: the gateway refuses requests with it", escape)
	case decoded < ' ' || decoded == 0x7F:
		return fmt.Errorf("must not contain the control character %s", escape)
	case escape != strings.ToUpper(escape):
		return fmt.Errorf("must have %s in capitals", escape)
	}
	return nil
}

// unreserved are the characters that are the same plain and percent-encoded
// (RFC 3986, section 2.3).
func unreserved(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return c == '-' || c == '.' || c == '_' || c == '~'
}

// Matches tells whether a request's path, normalized and without its query, is
// one that the pattern takes. It is what every compiled form must agree with.
func (p PathPattern) Matches(path string) bool {
	rest, absolute := strings.CutPrefix(path, "/")
	if !absolute {
		return false
	}
	parts := strings.Split(rest, "/")
	if len(parts) < len(p.Segments) || len(parts) > len(p.Segments) && !p.Rest {
		return false
	}
	for i, s := range p.Segments {
		if s.Variable == "" && parts[i] != s.Literal || s.Variable != "" && parts[i] == "" {
			return false
		}
	}
	return true
}

// String is the pattern as a config file says it.
func (p PathPattern) String() string {
	var b strings.Builder
	for _, s := range p.Segments {
		if s.Variable != "" {
			b.WriteString("/{" + s.Variable + "}")
		} else {
			b.WriteString("/" + s.Literal)
		}
	}
	if p.Rest {
		b.WriteString("/**")
	}
	return b.String()
}
