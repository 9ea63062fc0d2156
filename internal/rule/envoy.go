package rule

import (
	"strconv"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
)

// InEnvoy is a rule about a token as Envoy reads one, where the claims are to be found at
// a place there; ok tells whether it is true there only where it is true here.
//
// Envoy has the same language over other values: its numbers are all of one kind, its
// paths have their queries, and what a map lacks may be nothing, or an error. So only
// comparisons of claims and of the method with texts, true and false are taken, and what
// is made of them by "and" and "or"; "not" of the method alone, which is always there.
func InEnvoy(text, claims string) (rule string, ok bool) {
	env, err := environment(Token)
	if err != nil {
		return "", false
	}
	parsed, issues := env.Parse(text)
	if issues.Err() != nil {
		return "", false
	}
	return translation{claims}.of(parsed.NativeRep().Expr())
}

// translation is of a rule into Envoy's words.
type translation struct{ claims string }

// of is an expression that is true or false.
func (t translation) of(e ast.Expr) (string, bool) {
	switch e.Kind() {
	case ast.SelectKind:
		if s := e.AsSelect(); s.IsTestOnly() {
			return t.has(s)
		}
	case ast.CallKind:
		return t.call(e.AsCall())
	}
	return "", false
}

func (t translation) call(c ast.CallExpr) (string, bool) {
	args := c.Args()
	switch c.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr:
		left, ok := t.of(args[0])
		right, too := t.of(args[1])
		word := map[string]string{operators.LogicalAnd: "&&", operators.LogicalOr: "||"}[c.FunctionName()]
		return "(" + left + " " + word + " " + right + ")", ok && too
	case operators.LogicalNot:
		inner, ok := t.of(args[0])
		return "!" + inner, ok && isOfMethod(args[0])
	case operators.Equals:
		return t.compared(args[0], "==", args[1])
	case operators.NotEquals:
		text, ok := t.compared(args[0], "!=", args[1])
		return text, ok && isMethod(args[0])
	case operators.In:
		return t.within(args[0], args[1])
	case overloads.StartsWith, overloads.EndsWith, overloads.Contains, overloads.Matches:
		if !c.IsMemberFunction() || len(args) != 1 {
			return "", false
		}
		of, ok := t.value(c.Target())
		what, too := textOf(args[0])
		return of + "." + c.FunctionName() + "(" + what + ")", ok && too
	}
	return "", false
}

// has is whether a claim is there.
func (t translation) has(s ast.SelectExpr) (string, bool) {
	of, ok := t.value(s.Operand())
	return "has(" + of + "." + s.FieldName() + ")", ok && !isMethod(s.Operand())
}

// compared is a claim, or the method, beside a text, true or false.
func (t translation) compared(a ast.Expr, word string, b ast.Expr) (string, bool) {
	left, ok := t.value(a)
	right, too := constantOf(b)
	return "(" + left + " " + word + " " + right + ")", ok && too
}

// within is a claim, or the method, among texts; or a text in a claim.
func (t translation) within(a, b ast.Expr) (string, bool) {
	if text, ok := textOf(a); ok {
		of, ok := t.value(b)
		return "(" + text + " in " + of + ")", ok && !isMethod(b)
	}
	left, ok := t.value(a)
	if !ok || b.Kind() != ast.ListKind {
		return "", false
	}
	var all []string
	for _, e := range b.AsList().Elements() {
		text, ok := textOf(e)
		if !ok {
			return "", false
		}
		all = append(all, text)
	}
	return "(" + left + " in [" + strings.Join(all, ", ") + "])", true
}

// value is a claim, what is in one, or the method.
func (t translation) value(e ast.Expr) (string, bool) {
	switch {
	case isMethod(e):
		return varMethod, true
	case e.Kind() == ast.IdentKind && e.AsIdent() == varClaims:
		return t.claims, true
	case e.Kind() == ast.SelectKind && !e.AsSelect().IsTestOnly():
		of, ok := t.value(e.AsSelect().Operand())
		return of + "." + e.AsSelect().FieldName(), ok && !isMethod(e.AsSelect().Operand())
	case e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Index:
		of, ok := t.value(e.AsCall().Args()[0])
		name, too := textOf(e.AsCall().Args()[1])
		return of + "[" + name + "]", ok && too && !isMethod(e.AsCall().Args()[0])
	}
	return "", false
}

// isMethod tells whether an expression is request.method.
func isMethod(e ast.Expr) bool {
	if e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly() || e.AsSelect().FieldName() != "method" {
		return false
	}
	of := e.AsSelect().Operand()
	return of.Kind() == ast.IdentKind && of.AsIdent() == "request"
}

// isOfMethod tells whether a comparison is of the method.
func isOfMethod(e ast.Expr) bool {
	if e.Kind() != ast.CallKind {
		return false
	}
	c := e.AsCall()
	if c.IsMemberFunction() {
		return isMethod(c.Target())
	}
	return len(c.Args()) == 2 && isMethod(c.Args()[0])
}

// constantOf is a text, true or false.
func constantOf(e ast.Expr) (string, bool) {
	if e.Kind() == ast.LiteralKind {
		if b, ok := e.AsLiteral().(types.Bool); ok {
			return strconv.FormatBool(bool(b)), true
		}
	}
	return textOf(e)
}

// textOf is a text as CEL writes it. Its escapes are those of Go, for what is not plain.
func textOf(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return strconv.Quote(string(s)), ok
}
