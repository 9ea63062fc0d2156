package rule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// Text is a rule whose value is a text: what a limit counts by. A whole number
// and a bool are written as a text. The zero value always fails.
type Text struct{ rule *Rule }

// CompileText reads a rule about a Caller whose value is a text, a whole number
// or a bool. The error is as that of Compile.
func CompileText(text string) (Text, error) {
	r, err := compiled.of(source{text, Caller, isText}, compile)
	return Text{r}, err
}

// Number is a rule whose value is a whole number. The zero value always fails.
type Number struct{ rule *Rule }

// CompileNumber reads a rule about a Caller whose value is a whole number. The
// error is as that of Compile.
func CompileNumber(text string) (Number, error) {
	r, err := compiled.of(source{text, Caller, isNumber}, compile)
	return Number{r}, err
}

// OfCaller tells a rule that reads something of the caller, and not of the
// request alone: what it comes to depends on who is known.
func (t Text) OfCaller() bool { return t.rule != nil && t.rule.ofCaller }

// OfCaller is that of Text.
func (n Number) OfCaller() bool { return n.rule != nil && n.rule.ofCaller }

// errUncompiled is the failure of a rule that is none.
var errUncompiled = errors.New("there is no rule")

// Of is what the rule comes to. An error is as that of Holds. No two values of one
// rule have the same text: they are of one type.
func (t Text) Of(f *Facts) (string, error) {
	if t.rule == nil {
		return "", errUncompiled
	}
	value, _, err := t.rule.program.Eval(activation{f})
	if err != nil {
		return "", fmt.Errorf("evaluating the rule: %w", err)
	}
	switch v := value.(type) {
	case types.String:
		return string(v), nil
	case types.Int:
		return strconv.FormatInt(int64(v), 10), nil
	case types.Bool:
		return strconv.FormatBool(bool(v)), nil
	}
	return "", errResult
}

// Of is what the rule comes to. An error is as that of Holds.
func (n Number) Of(f *Facts) (int64, error) {
	if n.rule == nil {
		return 0, errUncompiled
	}
	value, _, err := n.rule.program.Eval(activation{f})
	if err != nil {
		return 0, fmt.Errorf("evaluating the rule: %w", err)
	}
	number, ok := value.(types.Int)
	if !ok {
		return 0, errResult
	}
	return int64(number), nil
}

// readsCaller tells a rule that names a variable of another than the request's.
func readsCaller(checked *cel.Ast) bool {
	reads := false
	for _, reference := range checked.NativeRep().ReferenceMap() {
		name := reference.Name
		reads = reads || name == varClaims || strings.HasPrefix(name, "key.") || strings.HasPrefix(name, "caller.")
	}
	return reads
}
