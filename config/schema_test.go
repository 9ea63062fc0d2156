package config

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// That schema.json is what the model makes is tested in internal/schemagen.

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// bySchema validates a YAML file as an editor does: as the JSON it stands for.
func bySchema(t *testing.T, schema *jsonschema.Schema, file string) error {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var content any
	if err := yaml.Unmarshal(data, &content); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(instance)
}

func TestSchemaTakesGoodFiles(t *testing.T) {
	schema := compiledSchema(t)
	for _, file := range append(glob(t, "testdata/good/*.yaml"), "testdata/example_supported.yaml") {
		if err := bySchema(t, schema, file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestSchemaTakesTheWholeLanguage: the schema knows the fields that Load
// refuses as not yet supported.
func TestSchemaTakesTheWholeLanguage(t *testing.T) {
	schema := compiledSchema(t)
	for _, file := range []string{wholeLanguage(t)} {
		if err := bySchema(t, schema, file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestSchemaRefuses holds the schema to what a single value may be.
func TestSchemaRefuses(t *testing.T) {
	schema := compiledSchema(t)
	for _, name := range []string{
		"auth_empty", "auth_list", "auth_without_any_of", "auth_word", "backend_enums", "document_list",
		"duration_negative", "duration_not_one", "duration_without_unit", "empty_lists", "empty_string",
		"listener_rate_limit", "missing_auth", "missing_fields", "missing_sections", "null_entry", "null_value",
		"rate_of_several_seconds", "rate_without_time", "type_integer_for_string", "type_list_for_mapping", "type_mapping_for_list",
		"type_string_for_bool", "type_for_units", "type_string_for_integer", "type_string_for_list", "unknown_field_far", "unknown_field_near",
		"unknown_field_of_route", "unknown_section_near",
	} {
		if err := bySchema(t, schema, "testdata/bad/"+name+".yaml"); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestSchemaIsACopy(t *testing.T) {
	Schema()[0] = 'x'
	if Schema()[0] != '{' {
		t.Error("a caller can change the schema of all others")
	}
}
