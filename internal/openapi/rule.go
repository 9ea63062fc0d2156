package openapi

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
)

// placeOf is where in a value a schema is broken.
func placeOf(err error) []string {
	if s := schemaError(err); s != nil {
		return s.JSONPointer()
	}
	return nil
}

func schemaError(err error) *openapi3.SchemaError {
	var many openapi3.MultiError
	if errors.As(err, &many) && len(many) > 0 {
		err = many[0]
	}
	var s *openapi3.SchemaError
	if errors.As(err, &s) {
		return s
	}
	return nil
}

// ruleOf says what must be, in the document's own numbers and names: the library's
// words may have values of the request in them.
func ruleOf(err error) string {
	var parse *openapi3filter.ParseError
	switch s := schemaError(err); {
	case errors.Is(err, openapi3filter.ErrInvalidRequired):
		return "is required"
	case errors.Is(err, openapi3filter.ErrInvalidEmptyValue):
		return "must not be empty"
	case s != nil:
		return schemaRule(s)
	case errors.As(err, &parse):
		return "must be of the type that the document has"
	}
	return "must be as the document says"
}

// missing is how the library names a property that is not there.
var missing = regexp.MustCompile(`^property "(.{1,200})" is missing$`)

func schemaRule(s *openapi3.SchemaError) string {
	schema := s.Schema
	if schema == nil {
		schema = &openapi3.Schema{}
	}
	number := func(p *float64) string {
		if p == nil {
			return "a number that the document has"
		}
		return fmt.Sprint(*p)
	}
	switch s.SchemaField {
	case "type":
		if schema.Type != nil && len(*schema.Type) > 0 {
			return "must be of type " + strings.Join(*schema.Type, " or ")
		}
	case "required":
		if m := missing.FindStringSubmatch(s.Reason); m != nil {
			return "must have the property " + m[1]
		}
		return "lacks a property that is required"
	case "properties", "additionalProperties", "unevaluatedProperties":
		return "has a property that the document does not have"
	case "maxLength":
		if schema.MaxLength != nil {
			return fmt.Sprintf("must have at most %d characters", *schema.MaxLength)
		}
	case "minLength":
		return fmt.Sprintf("must have at least %d characters", schema.MinLength)
	case "maximum":
		return "must be at most " + number(schema.Max)
	case "minimum":
		return "must be at least " + number(schema.Min)
	case "maxItems":
		if schema.MaxItems != nil {
			return fmt.Sprintf("must have at most %d elements", *schema.MaxItems)
		}
	case "minItems":
		return fmt.Sprintf("must have at least %d elements", schema.MinItems)
	case "uniqueItems":
		return "must not have an element twice"
	case "enum":
		return "must be one of the values that the document has"
	case "pattern":
		return "must fit the pattern of the document"
	case "format":
		if schema.Format != "" {
			return "must have the format " + schema.Format
		}
	case "nullable":
		return "must not be null"
	case "readOnly":
		return "must not be sent: it is read-only"
	case "oneOf", "anyOf", "allOf", "not":
		return "must fit " + s.SchemaField + " of its schema"
	}
	if s.SchemaField != "" {
		return "must keep " + s.SchemaField + " of its schema"
	}
	return "must be as its schema says"
}
