package config

import "github.com/gatewright/gatewright/internal/openapi"

// OpenAPI is a document (https://spec.openapis.org/oas/v3.1.0) that requests of
// routes can be held to.
type OpenAPI struct {
	// Name is the key under which the document stands in the file.
	Name string `yaml:"-"`
	// Document is the path of a document of OpenAPI 3.0 or 3.1, in YAML or JSON. It
	// and the files that it refers to are watched.
	Document string `yaml:"document" required:"true"`

	// Sum is that of all that was read, and Validator what was made of it.
	Sum       string             `yaml:"-"`
	Validator *openapi.Validator `yaml:"-"`
}

// RouteOpenAPI holds the requests of a route to a document: the path, the query,
// headers and cookies that it has parameters for, and bodies of JSON. What does not fit
// gets 400 request-invalid, once the caller is known and limits are charged.
type RouteOpenAPI struct {
	// Document is the name of one of the config's.
	Document string `yaml:"document" required:"true"`
	// Validate is what is validated: request.
	Validate ValidateWhat `yaml:"validate" required:"true"`
	// Mode is enforce or shadow, which counts what would be refused and refuses
	// nothing. The empty string means enforce.
	Mode ValidateMode `yaml:"mode"`
	// MaxBody bounds the bodies of the route's requests in bytes: what is larger gets
	// 413, in shadow, too. 0 means 128 KiB. It is at most 1 MiB.
	MaxBody int `yaml:"maxBody"`
}

// InShadow tells of a validation that refuses nothing.
func (r *RouteOpenAPI) InShadow() bool { return r.Mode == ValidateShadow }

// BodyBound is MaxBody, or its default.
func (r *RouteOpenAPI) BodyBound() int {
	if r.MaxBody == 0 {
		return DefaultValidatedBody
	}
	return r.MaxBody
}

// DefaultValidatedBody is RouteOpenAPI.MaxBody where it has none.
const DefaultValidatedBody = 128 << 10

// ValidateWhat is what is validated.
type ValidateWhat string

// ValidateRequest are requests.
const ValidateRequest ValidateWhat = "request"

// ValidateMode is what a validation does with what is not valid.
type ValidateMode string

// The modes of a validation. The empty string means enforce.
const (
	ValidateEnforce ValidateMode = "enforce"
	ValidateShadow  ValidateMode = "shadow"
)
