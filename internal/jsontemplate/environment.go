package jsontemplate

import (
	"fmt"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
)

// Direction is the way that a body goes.
type Direction int

// The directions. An answer's template knows the request, too.
const (
	Request Direction = iota
	Response
)

// The variables. Those that rules have, too, are called the same there.
const (
	varBody    = "body"
	varClaims  = "claims"
	varUser    = "caller.user"
	varTenant  = "caller.tenant"
	varMethod  = "request.method"
	varPath    = "request.path"
	varHost    = "request.host"
	varQuery   = "request.query"
	varHeaders = "request.headers"
	varStatus  = "response.status"
	varAnswers = "response.headers"
)

// environments are built once each: building one takes longer than compiling a
// template in it.
var environments = [...]func() (*cel.Env, error){
	Request: sync.OnceValues(func() (*cel.Env, error) { return newEnvironment() }),
	Response: sync.OnceValues(func() (*cel.Env, error) {
		return newEnvironment(
			cel.Variable(varStatus, cel.IntType),
			cel.Variable(varAnswers, cel.MapType(cel.StringType, cel.StringType)),
		)
	}),
}

func newEnvironment(more ...cel.EnvOption) (*cel.Env, error) {
	texts := cel.MapType(cel.StringType, cel.StringType)
	env, err := cel.NewEnv(append(more,
		cel.Variable(varBody, cel.DynType),
		cel.Variable(varClaims, texts),
		cel.Variable(varUser, cel.StringType),
		cel.Variable(varTenant, cel.StringType),
		cel.Variable(varMethod, cel.StringType),
		cel.Variable(varPath, cel.StringType),
		cel.Variable(varHost, cel.StringType),
		cel.Variable(varQuery, cel.StringType),
		cel.Variable(varHeaders, texts),
		cel.OptionalTypes(),
		ext.Strings(ext.StringsVersion(5)),
		ofObjects("merge", "merge_objects", cel.DynType, merged),
		ofObjects("without", "without_names", cel.ListType(cel.StringType), without),
		ofObjects("only", "only_names", cel.ListType(cel.StringType), only),
		ofNumbers("double", cel.DoubleType),
		ofNumbers("int", cel.IntType),
		ofNumbers("uint", cel.UintType),
		ofNumbers("string", cel.StringType),
		cel.ParserRecursionLimit(64),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateComprehensionNestingLimit(2)),
	)...)
	if err != nil {
		return nil, fmt.Errorf("setting up CEL: %w", err)
	}
	return env, nil
}

// ofObjects is a function that makes an object of another.
func ofObjects(name, overload string, second *cel.Type, do func(a, b ref.Val) ref.Val) cel.EnvOption {
	return cel.Function(name, cel.Overload(overload, []*cel.Type{cel.DynType, second}, cel.DynType, cel.BinaryBinding(do)))
}

// ofNumbers is a conversion of numbers that CEL has no equal of.
func ofNumbers(name string, to *cel.Type) cel.EnvOption {
	return cel.Function(name, cel.Overload("number_to_"+name, []*cel.Type{numberType}, to, cel.UnaryBinding(func(n ref.Val) ref.Val {
		return n.ConvertToType(to)
	})))
}

// prices are those of calls that CEL would count as one step each: of functions that
// copy objects, of comparisons and of texts, whatever types the checker knows of.
type prices struct{}

// CallCost implements cost.ActualCostEstimator.
func (prices) CallCost(function, _ string, args []ref.Val, _ ref.Val) *uint64 {
	total := uint64(1)
	switch function {
	case "merge", "without", "only":
		for _, a := range args {
			if s, ok := a.(traits.Sizer); ok {
				total += uint64(count(s))
			}
		}
	case operators.Equals, operators.NotEquals:
		total += min(weight(args[0]), weight(args[1]))
	case operators.In:
		total += weight(args[1])
	case operators.Add, "matches", "contains", "startsWith", "endsWith":
		if _, ok := args[0].(types.String); !ok {
			return nil // lists grow by one element, in macros
		}
		total += weight(args[0]) + weight(args[1])
	default:
		return nil
	}
	return &total
}

// weight is how much there is in a value: some one for each value in it, and for
// sixteen bytes of a text.
func weight(v ref.Val) uint64 {
	switch v := v.(type) {
	case *object:
		return v.weight
	case types.String:
		return 1 + uint64(len(v))/16
	case traits.Lister:
		total := uint64(1)
		for i := range count(v) {
			total += weight(v.Get(types.Int(i)))
		}
		return total
	case traits.Mapper:
		return 1 + uint64(count(v))
	}
	return 1
}
