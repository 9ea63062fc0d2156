package rule

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
)

// The largest of what a rule can meet. A token has at most 8 KiB
// (authz.MaxTokenBytes), of which three quarters are bytes of its claims; an
// Envoy that we configure takes at most 60 KiB of headers.
const (
	maxClaimBytes  = 6 << 10
	maxElements    = maxClaimBytes / 2 // a digit and a comma
	maxHeaderBytes = 60 << 10
	maxHeaders     = 100
)

// checkCost refuses a rule that could be dear, before any request is.
func checkCost(env *cel.Env, checked *cel.Ast) error {
	estimate, err := env.EstimateCost(checked, sizes{})
	switch {
	case err != nil:
		return fmt.Errorf("cannot be estimated: %w", err)
	case estimate.Max > maxEstimate:
		return fmt.Errorf("could cost too much: %d units where %d are allowed; loops within loops and expressions over whole claims cost most", estimate.Max, maxEstimate)
	}
	return nil
}

// sizes tells CEL how large the variables can be.
type sizes struct{}

// EstimateSize implements cost.CostEstimator.
func (sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	path := node.Path()
	if len(path) == 0 {
		return nil
	}
	most := uint64(maxClaimBytes)
	switch name := strings.Join(path[:min(2, len(path))], "."); {
	case path[0] == varHeaders || name == varHeaders || path[0] == varQuery || name == varQuery:
		most = maxHeaderBytes
		if node.Type().Kind() == types.MapKind {
			most = maxHeaders
		}
	case path[0] == varPath || path[0] == varHost:
		most = maxHeaderBytes
	case node.Type().Kind() == types.MapKind || node.Type().Kind() == types.ListKind:
		most = maxElements
	}
	return &cost.SizeEstimate{Max: most}
}

// EstimateCallCost implements cost.CostEstimator: CEL's own costs stand.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// errPattern: an expression that came with a request could be made to be slow,
// or to match everything.
var errPattern = errors.New("must have the expression of matches() as a text: it may not come from the request")

// checkPatterns holds regular expressions to texts that stand in the rule.
func checkPatterns(checked *cel.Ast) error {
	root := ast.NavigateAST(checked.NativeRep())
	for _, call := range ast.MatchDescendants(root, ast.FunctionMatcher("matches")) {
		args := call.AsCall().Args()
		pattern := args[len(args)-1]
		if pattern.Kind() != ast.LiteralKind {
			return errPattern
		}
		text, ok := pattern.AsLiteral().Value().(string)
		if !ok {
			return errPattern
		}
		if _, err := regexp.Compile(text); err != nil {
			return fmt.Errorf("must have a regular expression (RE2) in matches(): %w", err)
		}
	}
	return nil
}
