package openapi

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// trees is a document of which the schema of bodies is a part that contains itself.
func trees(t testing.TB, version, schemas string) (*Validator, error) {
	t.Helper()
	text := fmt.Sprintf(`{"openapi": %q, "info": {"title": "t", "version": "1"}, "paths": {"/t": {"post": {
		"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/T"}}}}, "responses": {"200": {"description": "ok"}}}}},
		"components": {"schemas": %s}}`, version, schemas)
	doc, err := Load("t.yaml", func(string, int) ([]byte, error) { return []byte(text), nil })
	if err != nil {
		t.Fatal(err)
	}
	return Compile(doc)
}

// manyWays is a tree whose nodes fit two branches alike up to their last leaf.
const manyWays = `{"T": {"oneOf": [{"type": "string"}, {"$ref": "#/components/schemas/A"}, {"$ref": "#/components/schemas/B"}]},
	"A": {"type": "object", "properties": {"of": {"type": "array", "items": {"$ref": "#/components/schemas/T"}}, "a": {"type": "string"}}, "required": ["a"]},
	"B": {"type": "object", "properties": {"of": {"type": "array", "items": {"$ref": "#/components/schemas/T"}}, "b": {"type": "string"}}, "required": ["b"]}}`

// nested is a tree so many levels deep; each level is two of JSON's.
func nested(levels int, leaf string) string {
	return strings.Repeat(`{"b": "x", "of": [`, levels) + leaf + strings.Repeat("]}", levels)
}

// TestDearBodies: a body whose schema could be tried more often than is allowed is
// refused before it is tried, and others are judged.
func TestDearBodies(t *testing.T) {
	t.Parallel()
	wide := `{"b": "x", "of": [` + strings.Repeat(`"leaf", `, 10_000) + `"leaf"]}`
	for _, version := range []string{"3.0.3", "3.1.0"} {
		v, err := trees(t, version, manyWays)
		if err != nil {
			t.Fatal(err)
		}
		for body, want := range map[string]string{
			nested(4, `"leaf"`): "", nested(4, "7"): "must be of type string", wide: "", nested(12, `"leaf"`): "nests too deep, or is too large, for its schema", nested(15, "7"): "nests too deep, or is too large, for its schema",
			nested(17, `"leaf"`): "must not nest deeper",
		} {
			fault := v.Validate(t.Context(), request("POST /t", body))
			if fault == nil && want != "" || fault != nil && (want == "" || !strings.Contains(fault.Rule, want)) {
				t.Errorf("%s, a body of %d bytes: %v, want %q", version, len(body), fault, want)
			}
		}
	}
	// With a discriminator and its mapping one branch is tried.
	told := strings.Replace(manyWays, `"T": {`, `"T": {"discriminator": {"propertyName": "kind", "mapping": {"A": "#/components/schemas/A", "B": "#/components/schemas/B"}}, `, 1)
	told = strings.Replace(told, `{"type": "string"}, {"$ref"`, `{"$ref"`, 1)
	told = strings.ReplaceAll(told, `"properties": {`, `"properties": {"kind": {"type": "string"}, `)
	v, err := trees(t, "3.0.3", told)
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat(`{"kind": "B", "b": "x", "of": [`, 10) + strings.Repeat("]}", 10)
	if fault := v.Validate(t.Context(), request("POST /t", body)); fault != nil {
		t.Errorf("with a discriminator: %v", fault)
	}
}

// TestEndlessSchemas: a document with a schema that no validator would come to an end of
// is refused.
func TestEndlessSchemas(t *testing.T) {
	t.Parallel()
	for schemas, endless := range map[string]bool{
		manyWays: false,
		`{"T": {"oneOf": [{"type": "string"}, {"$ref": "#/components/schemas/T"}]}}`:                                                          true,
		`{"T": {"allOf": [{"$ref": "#/components/schemas/U"}]}, "U": {"not": {"$ref": "#/components/schemas/T"}}}`:                            true,
		`{"T": {"properties": {"u": {"anyOf": [{"$ref": "#/components/schemas/U"}]}}}, "U": {"allOf": [{"$ref": "#/components/schemas/U"}]}}`: true,
		`{"T": {"type": "array", "items": {"$ref": "#/components/schemas/T"}}}`:                                                               false,
	} {
		if _, err := trees(t, "3.0.3", schemas); (err != nil) != endless {
			t.Errorf("%s: %v, want a fault: %v", schemas, err, endless)
		}
	}
}

// BenchmarkDear is a body that is refused for what it could cost.
func BenchmarkDear(b *testing.B) {
	v, err := trees(b, "3.0.3", manyWays)
	if err != nil {
		b.Fatal(err)
	}
	for _, levels := range []int{8, 10, 12, 15} {
		r := request("POST /t", nested(levels, "7"))
		b.Run(fmt.Sprint(levels), func(b *testing.B) {
			for b.Loop() {
				if v.Validate(b.Context(), r) == nil {
					b.Fatal("it is valid")
				}
			}
		})
	}
}

// FuzzRead: whatever a document says, it is refused, or a validator of it comes to a
// verdict.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"testdata/orders30.yaml", "testdata/orders31.yaml"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), `{"sku": "a-1"}`)
	}
	f.Add(`{"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {"/t": {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/T"}}}}, "responses": {"200": {"description": "ok"}}}}}, "components": {"schemas": `+manyWays+`}}`, nested(3, "7"))
	f.Fuzz(func(t *testing.T, text, body string) {
		doc, err := Load("doc.yaml", func(string, int) ([]byte, error) { return []byte(text), nil })
		if err != nil {
			return
		}
		v, err := Compile(doc)
		if err != nil {
			return
		}
		for _, line := range []string{"POST /t", "POST /v1/orders", "PATCH /v1/orders/7", "GET /v1/orders?state=open"} {
			v.Validate(t.Context(), request(line, body))
		}
	})
}
