// Package rule is the rule language of requirements and limits: CEL
// (https://cel.dev), over what is known of a caller and its request. A rule is
// compiled and type-checked when its config is loaded, and costs a bounded
// time whatever a request holds.
package rule

import (
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

const (
	// maxText is the longest rule, in bytes.
	maxText = 4096
	// maxEstimate is the highest cost, in CEL's units, that a rule may be
	// estimated at with the largest of requests. Two loops over a claim, one
	// within the other, are above it.
	maxEstimate = 2_000_000
	// maxCost is the highest cost of one evaluation: some milliseconds. A claim
	// of a thousand elements can be searched; one that was made to be slow ends
	// in an error.
	maxCost = 50_000
)

// Subject is whose caller a rule is about: what it can know beside the request.
type Subject int

// The subjects.
const (
	// Token has claims.
	Token Subject = iota
	// Key is an API key: it has key.id, key.owner, key.tenant and key.permissions.
	Key
	// Caller is whoever a limit counts: it has caller.user, caller.tenant,
	// caller.plan, caller.provider and caller.key, which are empty where there is
	// none, and claims, which a caller without a token has none of.
	Caller
)

// Rule is a compiled rule. It is immutable, and may be evaluated by many
// goroutines at once.
type Rule struct {
	program cel.Program
	// ofCaller: it reads something of the caller, and not of the request alone.
	ofCaller bool
}

// Compile reads a rule that is true or false. The error says what is wrong with
// it, and where in the text. Equal texts about the same subject give the same
// Rule, as long as somebody has it.
func Compile(text string, about Subject) (*Rule, error) {
	return compiled.of(source{text, about, isBool}, compile)
}

// result is what a rule comes to.
type result int

const (
	isBool   result = iota
	isText          // a text, a whole number, or true or false
	isNumber        // a whole number
)

// fault is what is wrong with a rule of another type; empty if nothing is.
func (r result) fault(t *cel.Type) string {
	switch {
	case r == isBool && !t.IsExactType(types.BoolType):
		return fmt.Sprintf("must be true or false, and is of type %s: compare it, as with == true", t)
	case r == isText && !t.IsExactType(types.StringType) && !t.IsExactType(types.IntType) && !t.IsExactType(types.BoolType):
		return fmt.Sprintf("must be a text, a whole number, or true or false, and is of type %s: say which, as with string(…)", t)
	case r == isNumber && !t.IsExactType(types.IntType):
		return fmt.Sprintf("must be a whole number, and is of type %s: say so, as with int(…)", t)
	}
	return ""
}

func compile(s source) (*Rule, error) {
	text, about := s.text, s.about
	if len(text) > maxText {
		return nil, fmt.Errorf("must be at most %d bytes", maxText)
	}
	env, err := environment(about)
	if err != nil {
		return nil, err
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, first(issues)
	}
	if fault := s.result.fault(checked.OutputType()); fault != "" {
		return nil, errors.New(fault)
	}
	if err := checkPatterns(checked); err != nil {
		return nil, err
	}
	if err := checkCost(env, checked); err != nil {
		return nil, err
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	if err != nil {
		return nil, fmt.Errorf("cannot be compiled: %w", err)
	}
	return &Rule{program, readsCaller(checked)}, nil
}

// errResult cannot be: the checker knows that the result is a bool.
var errResult = errors.New("the rule came to neither true nor false")

// Holds tells what a rule comes to. An error is that it comes to nothing: it
// asks for what is not there, compares what cannot be compared, or takes too
// long. The error may quote the request.
func (r *Rule) Holds(f *Facts) (bool, error) {
	value, _, err := r.program.Eval(activation{f})
	if err != nil {
		return false, fmt.Errorf("evaluating the rule: %w", err)
	}
	holds, ok := value.(types.Bool)
	if !ok {
		return false, errResult
	}
	return bool(holds), nil
}

// first is the first issue of a text, without CEL's drawing of where it is.
func first(issues *cel.Issues) error {
	all := issues.Errors()
	if len(all) == 0 {
		return issues.Err()
	}
	at := all[0].Location
	if at.Line() < 1 { // it is about the text as a whole
		return fmt.Errorf("must be a rule in CEL: %s", all[0].Message)
	}
	return fmt.Errorf("must be a rule in CEL: line %d, column %d: %s", at.Line(), at.Column()+1, all[0].Message)
}
