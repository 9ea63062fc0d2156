package config

import (
	"regexp"
	"unicode/utf8"
)

// Expression is a compiled ValueMatch.Regex. It means in Go what it means in
// Envoy, which reads expressions and values byte by byte, as Latin-1, and not
// as UTF-8: a dot takes one byte of a letter that has two. The zero value fits
// nothing.
type Expression struct{ whole *regexp.Regexp }

// CompileExpression compiles a Regex. The error is the rule that it breaks.
func CompileExpression(regex string) (Expression, error) {
	// Alone first: between the brackets below, "a)|(b" would be one.
	if _, err := regexp.Compile(latin1(regex)); err != nil {
		return Expression{}, err
	}
	whole, err := regexp.Compile(`^(?:` + latin1(regex) + `)$`)
	return Expression{whole}, err
}

// Fits tells whether the whole value, and not only a part, fits.
func (e Expression) Fits(value string) bool {
	return e.whole != nil && e.whole.MatchString(latin1(value))
}

// latin1 is s with each byte as one character. Text in ASCII is itself.
func latin1(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			out := make([]rune, len(s))
			for j := range len(s) {
				out[j] = rune(s[j])
			}
			return string(out)
		}
	}
	return s
}
