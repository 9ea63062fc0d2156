package xds

import (
	_ "embed"
	"slices"
	"strings"

	mutationrulesv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// What backends answer meets no local reply of Envoy's. So a script puts the config's
// bodies in their place, one for all routes, which have what it is to do beside it.
// Envoy's custom_response would have its answer pass the other filters by (decision 29).

//go:embed ownerrors.lua
var ownErrorsScript string

// originHeader has Envoy's word for who has given an answer, which no script can ask
// for. It is set for the script and taken away by it, whatever a backend has there.
const originHeader = "x-gatewright-origin"

// tellsOrigin sets it.
func tellsOrigin() *corev3.TypedExtensionConfig {
	return extension("origin", &headermutationv3.HeaderMutation{Mutations: &headermutationv3.Mutations{
		ResponseMutations: []*mutationrulesv3.HeaderMutation{{Action: &mutationrulesv3.HeaderMutation_Append{
			Append: setHeader(originHeader, "%RESPONSE_CODE_DETAILS%"),
		}}},
	}})
}

// backendErrors are the bodies for what the backends of a route answer with.
func (b builder) backendErrors(r *config.Route) []*config.ErrorBody {
	if len(r.To) == 0 || r.Match.GRPC != nil {
		return nil
	}
	return config.ErrorBodiesOf(config.FromBackend, r.Errors, b.config.Errors)
}

// ownErrors are the filters that put them in place. Of what else is done to an answer that
// comes last, but that it is compressed.
func (b builder) ownErrors(r *config.Route) []*corev3.TypedExtensionConfig {
	bodies := b.backendErrors(r)
	if len(bodies) == 0 {
		return nil
	}
	var all []any
	for _, e := range bodies {
		var ranges []any
		for _, s := range e.Status {
			ranges = append(ranges, map[string]any{"from": s.From, "to": s.To})
		}
		all = append(all, map[string]any{
			"status": ranges, "accept": e.Accept, "contentType": e.ContentType, "parts": errorParts(e),
		})
	}
	context, err := structpb.NewStruct(map[string]any{"bodies": all})
	if err != nil {
		panic("xds: own errors: " + err.Error()) // texts of a valid config: a bug, not an input
	}
	return []*corev3.TypedExtensionConfig{extension("own_errors", &luav3.Lua{
		DefaultSourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: ownErrorsScript}},
		FilterContext:     context,
		ClearRouteCache:   wrapperspb.Bool(false), // see edits
		SharedVmId:        "gatewright.own_errors",
	}), tellsOrigin()}
}

// errorParts are those of a body: texts, and the variables that only the request knows.
func errorParts(e *config.ErrorBody) []any {
	const border = "\x00" // no text of a config has one
	same := func(text string) string { return text }
	whole := e.Text(same, func(variable string) string {
		switch variable {
		case "reason":
			return e.Escape("backend-error")
		case "detail":
			return e.Escape("the backend could not do what was asked")
		}
		return border + variable + border
	})
	out := []any{}
	for i, part := range strings.Split(whole, border) {
		switch {
		case i%2 == 1:
			out = append(out, map[string]any{"variable": part})
		case part != "":
			out = append(out, map[string]any{"text": part})
		}
	}
	return out
}

// withGatewayErrors are the routes that have bodies of their own for what the gateway
// says by itself.
func (b builder) withGatewayErrors() []*config.Route {
	return slices.DeleteFunc(slices.Clone(b.config.Routes), func(r *config.Route) bool {
		return len(config.ErrorBodiesOf(config.FromGateway, r.Errors)) == 0
	})
}
