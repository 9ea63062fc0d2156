package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/gatewright/gatewright/config"
)

// schemaID names the schema; it need not be there to be fetched.
const schemaID = "https://github.com/gatewright/gatewright/config/schema.json"

// Generate is the JSON Schema of the config language, as a file.
func Generate(modelFiles string) ([]byte, error) {
	schema, err := Schema(modelFiles)
	if err != nil {
		return nil, err
	}
	out, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing schema: %w", err)
	}
	return append(out, '\n'), nil
}

// Schema is the schema of the config language: its shape from the Go types, its
// descriptions from the comments in the model's files, a pattern of filepath.Glob.
func Schema(modelFiles string) (*jsonschema.Schema, error) {
	r := &jsonschema.Reflector{
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true, // none has any: see tagged
		ExpandedStruct:             true,
		Mapper:                     notation,
	}
	files, err := filepath.Glob(modelFiles)
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no file of the model is at %s", modelFiles)
	}
	// The comment map is keyed by the package's path joined with the file's
	// folder, so that path is the one of this folder.
	for _, file := range files {
		if err := r.AddGoComments("github.com/gatewright/gatewright/config/internal/schemagen", file, jsonschema.WithFullComment()); err != nil {
			return nil, fmt.Errorf("reading comments of the model: %w", err)
		}
	}
	for name, comment := range r.CommentMap {
		r.CommentMap[name] = forAuthors.Replace(strings.Join(strings.Fields(comment), " "))
	}
	schema := r.Reflect(config.Config{})
	schema.ID = schemaID
	schema.Title = "Gatewright gateway"
	tagged(reflect.TypeFor[config.Config](), schema, schema.Definitions)
	textOrMatch(schema.Definitions)
	numberOrCost(schema.Definitions)
	shortOr(schema.Definitions, reflect.TypeFor[config.Endpoint](), &jsonschema.Schema{Type: "string", Description: "The address, host:port."})
	shortOr(schema.Definitions, reflect.TypeFor[config.LoadBalancing](), balancingPolicies())
	trueOrCompress(schema.Definitions)
	trueOrRedirect(schema.Definitions)
	pathOrGRPC(schema.Definitions)
	publicOrRequirements(schema.Definitions)
	return schema, nil
}

// forAuthors turns what Go says of zero values into what the author of a file
// sees of them.
var forAuthors = strings.NewReplacer(
	"The empty string means", "Left out, it means",
	"Nil and zero fields are", "What is left out, or 0, has",
	"Nil ", "Left out, it ",
)

// notation is the schema of a type that is written otherwise than Go lays it
// out, or that has a closed list of values; nil for any other type.
func notation(t reflect.Type) *jsonschema.Schema {
	switch reflect.Zero(t).Interface().(type) {
	case config.Duration:
		return pattern(`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`, "500ms", "10s", "5m", "1h30m")
	case config.Rate:
		return pattern(`^[0-9]+/[smhd]$`, "10/s", "600/m", "1000/d")
	case config.KeyPart:
		return pattern(`^(user|tenant|apiKey|clientIP|route|method|header:.+|claim:.+|rule:.+)$`, "user", "header:X-Plan", "claim:plan", `rule:request.path.startsWith("/v2/")`)
	case config.StickyPart:
		return pattern(`^(user|tenant|apiKey|clientIP|header:.+|cookie:.+|claim:.+)$`, "user", "cookie:session", "header:X-Device")
	case config.RateLimitPlacement:
		return enum(config.RateLimitService, config.RateLimitFilter)
	case config.Protocol:
		return enum(config.ProtocolHTTP1, config.ProtocolHTTP2, config.ProtocolGRPC)
	case config.ProxyProtocolVersion:
		return enum(config.ProxyProtocolV1, config.ProxyProtocolV2)
	case config.BalancingPolicy:
		return balancingPolicies()
	case config.HashFunction:
		return enum(config.XXHash, config.Murmur2)
	case config.HashPart:
		return pattern(`^(clientIP|user|tenant|claim:.+|header:.+|cookie:.+|query:.+)$`, "user", "header:X-Room", "cookie:session", "query:room")
	case config.SameSite:
		return enum(config.SameSiteStrict, config.SameSiteLax, config.SameSiteNone)
	case config.DNSMode:
		return enum(config.DNSStrict, config.DNSLogical)
	case config.DNSFamily:
		return enum(config.DNSIPv4First, config.DNSIPv4Only, config.DNSIPv6First, config.DNSIPv6Only, config.DNSBoth)
	case config.HealthyStatus:
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
			{Type: "integer", Minimum: "100", Maximum: "599"},
			{Type: "string", Pattern: "^[1-5]xx$"},
		}}
	case config.Consistency:
		return enum(config.Exact, config.Lease, config.Sync)
	case config.OnStoreFailure:
		return enum(config.FailLocal, config.FailAllow, config.FailDeny)
	case config.ClientCertificateMode:
		return enum(config.ClientCertificateOptional, config.ClientCertificateRequired)
	case config.ACMEChallenge:
		return enum(config.ChallengeTLS, config.ChallengeHTTP)
	case config.CertificatePart:
		return enum(config.PartURI, config.PartDNSName, config.PartEmail, config.PartCommonName, config.PartTrustDomain, config.PartOrganization, config.PartOrganizationalUnit)
	case config.RateLimitHeaders:
		return enum(config.HeadersIETF, config.HeadersX, config.HeadersBoth, config.HeadersNone)
	case config.BreakerScope:
		return enum(config.PerBackend, config.PerRoute)
	case config.GRPCStatus:
		return enum(config.GRPCFailures()...)
	case config.StatusRange:
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
			{Type: "integer", Minimum: "400", Maximum: "599"},
			{Type: "string", Enum: []any{"4xx", "5xx"}},
		}}
	case config.BodyStatus:
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
			{Type: "integer", Minimum: "200", Maximum: "599"},
			{Type: "string", Enum: []any{"2xx", "4xx", "5xx"}},
		}}
	case config.ErrorOrigin:
		return enum(config.FromGateway, config.FromBackend, config.FromAny)
	case config.BodyFailure:
		return enum(config.BodyDeny, config.BodyPass)
	case config.RequirementMode:
		return enum(config.ModeEnforce, config.ModeShadow)
	}
	return nil
}

func pattern(form string, examples ...any) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: form, Examples: examples}
}

func enum[S ~string](values ...S) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	for _, v := range values {
		s.Enum = append(s.Enum, string(v))
	}
	return s
}

// tagged adds what the model's own tags say: required and later. It goes
// through the types below t; schema is t's own.
func tagged(t reflect.Type, schema *jsonschema.Schema, definitions jsonschema.Definitions) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("yaml")
		property, ok := schema.Properties.Get(name)
		if !ok {
			continue
		}
		if f.Tag.Get("required") == "true" {
			schema.Required = append(schema.Required, name)
			notEmpty(property)
		}
		if property.Type == "string" && f.Tag.Get("text") == "" {
			notEmpty(property)
		}
		if later := f.Tag.Get("later"); later != "" {
			property.Description = strings.TrimSpace("Not yet supported: " + later + ". " + property.Description)
		}
		if inner := structOf(f.Type); inner != nil {
			if definition := definitions[inner.Name()]; definition != nil && definition.Required == nil {
				tagged(inner, definition, definitions)
			}
		}
	}
}

// notEmpty holds a required value to have something in it.
func notEmpty(s *jsonschema.Schema) {
	one := uint64(1)
	switch s.Type {
	case "string":
		s.MinLength = &one
	case "array":
		s.MinItems = &one
	case "object":
		s.MinProperties = &one
	}
}

// structOf is the struct type that a field leads to, through pointers, lists
// and maps; nil where it leads to none.
func structOf(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	return t
}

// publicOrRequirements lets a route's auth be the word, too.
func publicOrRequirements(definitions jsonschema.Definitions) {
	name := reflect.TypeFor[config.RouteAuth]().Name()
	requirements := definitions[name]
	definitions[name] = &jsonschema.Schema{
		Description: requirements.Description,
		OneOf: []*jsonschema.Schema{
			{Const: "public", Description: "The route asks nothing of a caller."},
			requirements,
		},
	}
	requirements.Description = ""
	for _, list := range []string{"anyOf", "allOf"} {
		property, _ := requirements.Properties.Get(list)
		notEmpty(property)
		requirements.AnyOf = append(requirements.AnyOf, &jsonschema.Schema{Required: []string{list}})
	}
}

// textOrMatch lets what a value must be be its text, too.
func textOrMatch(definitions jsonschema.Definitions) {
	name := reflect.TypeFor[config.ValueMatch]().Name()
	match := definitions[name]
	one := uint64(1)
	match.MinProperties, match.MaxProperties = &one, &one
	definitions[name] = &jsonschema.Schema{
		Description: match.Description,
		OneOf:       []*jsonschema.Schema{{Type: "string", Description: "What the value must equal."}, match},
	}
	match.Description = ""
}

// numberOrCost lets a cost be a number, too.
func numberOrCost(definitions jsonschema.Definitions) {
	name := reflect.TypeFor[config.Cost]().Name()
	cost := definitions[name]
	definitions[name] = &jsonschema.Schema{
		Description: cost.Description,
		OneOf:       []*jsonschema.Schema{{Type: "integer", Minimum: "1", Description: "What every request takes."}, cost},
	}
	cost.Description = ""
	for _, way := range []string{"number", "header", "rule"} {
		cost.OneOf = append(cost.OneOf, &jsonschema.Schema{Required: []string{way}})
	}
}

// shortOr lets a mapping be the single value that it is short for, too.
func shortOr(definitions jsonschema.Definitions, of reflect.Type, short *jsonschema.Schema) {
	whole := definitions[of.Name()]
	definitions[of.Name()] = &jsonschema.Schema{
		Description: whole.Description,
		OneOf:       []*jsonschema.Schema{short, whole},
	}
	whole.Description = ""
}

func balancingPolicies() *jsonschema.Schema {
	return enum(config.RoundRobin, config.LeastRequest, config.Random, config.RingHash, config.Maglev)
}

// trueOrCompress lets compression be said by a word.
func trueOrCompress(definitions jsonschema.Definitions) {
	name := reflect.TypeFor[config.Compress]().Name()
	compress := definitions[name]
	definitions[name] = &jsonschema.Schema{
		Description: compress.Description,
		OneOf:       []*jsonschema.Schema{{Type: "boolean", Description: "Whether answers are compressed, as the defaults say."}, compress},
	}
	compress.Description = ""
}

// trueOrRedirect lets a redirect to https be the word true, too.
func trueOrRedirect(definitions jsonschema.Definitions) {
	name := reflect.TypeFor[config.HTTPSRedirect]().Name()
	redirect := definitions[name]
	definitions[name] = &jsonschema.Schema{
		Description: redirect.Description,
		OneOf:       []*jsonschema.Schema{{Const: true, Description: "To port 443."}, redirect},
	}
	redirect.Description = ""
}

// pathOrGRPC lets a match say its path in one of its two ways.
func pathOrGRPC(definitions jsonschema.Definitions) {
	definitions[reflect.TypeFor[config.Match]().Name()].OneOf = []*jsonschema.Schema{
		{Required: []string{"path"}}, {Required: []string{"grpc"}},
	}
}
