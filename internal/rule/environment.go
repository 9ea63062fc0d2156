package rule

import (
	"fmt"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// The variables. The names with dots are each a variable of its own, so that
// the checker knows their types, and a misspelled one is a fault of the config.
const (
	varClaims         = "claims"
	varMethod         = "request.method"
	varPath           = "request.path"
	varHost           = "request.host"
	varHeaders        = "request.headers"
	varQuery          = "request.query"
	varKeyID          = "key.id"
	varKeyOwner       = "key.owner"
	varKeyTenant      = "key.tenant"
	varKeyPermissions = "key.permissions"

	varCallerUser     = "caller.user"
	varCallerTenant   = "caller.tenant"
	varCallerPlan     = "caller.plan"
	varCallerProvider = "caller.provider"
	varCallerKey      = "caller.key"
)

// environments are built once each: building one takes longer than compiling
// a rule in it.
var environments = [...]func() (*cel.Env, error){
	Token: sync.OnceValues(func() (*cel.Env, error) {
		return newEnvironment(cel.Variable(varClaims, cel.MapType(cel.StringType, cel.DynType)))
	}),
	Key: sync.OnceValues(func() (*cel.Env, error) {
		return newEnvironment(
			cel.Variable(varKeyID, cel.StringType),
			cel.Variable(varKeyOwner, cel.StringType),
			cel.Variable(varKeyTenant, cel.StringType),
			cel.Variable(varKeyPermissions, cel.ListType(cel.StringType)),
		)
	}),
	Caller: sync.OnceValues(func() (*cel.Env, error) {
		return newEnvironment(
			cel.Variable(varClaims, cel.MapType(cel.StringType, cel.DynType)),
			cel.Variable(varCallerUser, cel.StringType),
			cel.Variable(varCallerTenant, cel.StringType),
			cel.Variable(varCallerPlan, cel.StringType),
			cel.Variable(varCallerProvider, cel.StringType),
			cel.Variable(varCallerKey, cel.StringType),
		)
	}),
}

func environment(about Subject) (*cel.Env, error) {
	if about < 0 || int(about) >= len(environments) {
		return nil, fmt.Errorf("there is no subject %d", about)
	}
	return environments[about]()
}

func newEnvironment(subject ...cel.EnvOption) (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, fmt.Errorf("setting up CEL: %w", err)
	}
	env, err := cel.NewEnv(append(subject,
		cel.CustomTypeAdapter(adapter{registry}),
		cel.Variable(varMethod, cel.StringType),
		cel.Variable(varPath, cel.StringType),
		cel.Variable(varHost, cel.StringType),
		cel.Variable(varHeaders, cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable(varQuery, cel.MapType(cel.StringType, cel.ListType(cel.StringType))),
		cel.ParserRecursionLimit(64),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateComprehensionNestingLimit(2)),
	)...)
	if err != nil {
		return nil, fmt.Errorf("setting up CEL: %w", err)
	}
	return env, nil
}
