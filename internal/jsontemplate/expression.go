package jsontemplate

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

const (
	// maxExpressions is how many expressions a template may have.
	maxExpressions = 100
	// maxCost is the highest cost of evaluating one of them, in CEL's units: some
	// milliseconds. A loop over a thousand elements passes, one within another over
	// a thousand each does not.
	maxCost = 100_000
)

// expression is a compiled ${…}.
type expression struct{ program cel.Program }

// compileExpression also tells what the expression reads.
func compileExpression(text string, way Direction, into *Reads) (*expression, error) {
	env, err := environments[way]()
	if err != nil {
		return nil, err
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, first(issues)
	}
	root := ast.NavigateAST(checked.NativeRep())
	for _, check := range []func(ast.NavigableExpr) error{checkPatterns, checkGrowth, checkDoubles} {
		if err := check(root); err != nil {
			return nil, err
		}
	}
	if err := into.add(root, checked); err != nil {
		return nil, err
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost), cel.CostTracking(prices{}))
	if err != nil {
		return nil, fmt.Errorf("cannot be compiled: %w", err)
	}
	return &expression{program}, nil
}

// value is what the expression comes to. It may be an optional one.
func (e *expression) value(a cel.Activation) (ref.Val, error) {
	value, _, err := e.program.Eval(a)
	return value, err
}

// first is the first issue of a text, without CEL's drawing of where it is.
func first(issues *cel.Issues) error {
	all := issues.Errors()
	if len(all) == 0 {
		return issues.Err()
	}
	at := all[0].Location
	if at.Line() < 1 { // it is about the text as a whole
		return fmt.Errorf("must be an expression in CEL: %s", all[0].Message)
	}
	return fmt.Errorf("must be an expression in CEL: line %d, column %d: %s", at.Line(), at.Column()+1, all[0].Message)
}

// Reads is what a template reads beside the body.
type Reads struct {
	// Claims are the names of the claims, sorted.
	Claims []string
	// User and Tenant tell of who the caller is, and Request of anything of the request
	// itself.
	User, Tenant, Request bool
}

// errClaims: the judge is asked for claims by their names.
var errClaims = errors.New("must name the claims that it reads, as in claims.tenant or claims.?tenant")

// add notes what an expression reads.
func (r *Reads) add(root ast.NavigableExpr, checked *cel.Ast) error {
	for _, reference := range checked.NativeRep().ReferenceMap() {
		r.User = r.User || reference.Name == varUser
		r.Tenant = r.Tenant || reference.Name == varTenant
		r.Request = r.Request || strings.HasPrefix(reference.Name, "request.")
	}
	for _, ident := range ast.MatchDescendants(root, ast.KindMatcher(ast.IdentKind)) {
		if ident.AsIdent() != varClaims {
			continue
		}
		parent, ok := ident.Parent()
		if !ok {
			return errClaims
		}
		name, ok := nameBehind(parent)
		if !ok {
			return errClaims
		}
		r.Claims = append(r.Claims, name)
	}
	return nil
}

// nameBehind is the name in x.name, x["name"], x.?name and has(x.name).
func nameBehind(e ast.NavigableExpr) (string, bool) {
	switch e.Kind() {
	case ast.SelectKind:
		return e.AsSelect().FieldName(), true
	case ast.CallKind:
		call := e.AsCall()
		if args := call.Args(); slices.Contains([]string{"_[_]", "_?._", "_[?_]"}, call.FunctionName()) && len(args) == 2 {
			return literal(args[1])
		}
	}
	return "", false
}

// literal is a text that stands in an expression.
func literal(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().(types.String)
	return string(text), ok
}

// calls are those of a function.
func calls(root ast.NavigableExpr, function string) []ast.NavigableExpr {
	return ast.MatchDescendants(root, ast.FunctionMatcher(function))
}

// checkPatterns holds regular expressions to texts that stand in the template: one
// that came with a body could be made to be slow.
func checkPatterns(root ast.NavigableExpr) error {
	for _, call := range calls(root, "matches") {
		args := call.AsCall().Args()
		pattern, ok := literal(args[len(args)-1])
		if !ok {
			return errors.New("must have the expression of matches() as a text: it may not come from the body")
		}
		if _, err := regexp.Compile(pattern); err != nil {
			return fmt.Errorf("must have a regular expression (RE2) in matches(): %w", err)
		}
	}
	return nil
}

// maxReplacement is how long a text in replace() may be.
const maxReplacement = 16

// checkGrowth refuses what makes a large text of small ones in one step, which is
// only then counted.
func checkGrowth(root ast.NavigableExpr) error {
	for _, function := range []string{"join", "format", "strings.quote"} {
		if len(calls(root, function)) > 0 {
			return fmt.Errorf("must not use %s(): how large its text becomes is known only when it is there", function)
		}
	}
	for _, call := range calls(root, "replace") {
		args := call.AsCall().Args()
		what, okWhat := literal(args[0])
		by, okBy := literal(args[1])
		if !okWhat || !okBy || what == "" || len(by) > maxReplacement {
			return fmt.Errorf("must have texts in replace(), of which the second has at most %d bytes", maxReplacement)
		}
	}
	return nil
}

// checkDoubles refuses to compare something of a body with a number that has a
// fraction: numbers with one are carried as they are written, and are equal to none of
// CEL's until double() makes them so.
func checkDoubles(root ast.NavigableExpr) error {
	for _, function := range []string{"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"} {
		for _, call := range calls(root, function) {
			args := call.Children()
			if len(args) != 2 {
				continue
			}
			a, b := args[0].Type().Kind(), args[1].Type().Kind()
			if a == types.DoubleKind && b == types.DynKind || a == types.DynKind && b == types.DoubleKind {
				return errors.New("must say double(…) of what is compared with a number that has a fraction")
			}
		}
	}
	return nil
}
