package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestSchemaIsCurrent(t *testing.T) {
	want, err := Generate(modelFiles)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("schema.json is not current: run go generate ./config")
	}
}

// TestReferenceIsCurrent: the page has every field of every type, as the model has it.
func TestReferenceIsCurrent(t *testing.T) {
	schema, err := Schema(modelFiles)
	if err != nil {
		t.Fatal(err)
	}
	want := Reference(schema)
	got, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/reference.md is not current: run go generate ./config")
	}
	for name := range schema.Definitions {
		if !bytes.Contains(want, []byte("\n## "+name+"\n")) {
			t.Errorf("nothing leads to %s", name)
		}
	}
	if n := bytes.Count(want, []byte("\n| `")); n < 300 {
		t.Errorf("it tells of %d fields: was the model read?", n)
	}
}

// TestSchemaSaysWhatEditorsShow: each field has a description, where the model
// has a comment, and what is not built says so.
func TestSchemaSaysWhatEditorsShow(t *testing.T) {
	data, err := Generate(modelFiles)
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties map[string]struct{ Description string }
		Required   []string
		Defs       map[string]struct {
			AdditionalProperties *bool
			Properties           map[string]struct{ Description string }
			Required             []string
		} `json:"$defs"`
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(schema.Required, " "); got != "listeners routes" {
		t.Errorf("required at the top are %q", got)
	}
	if got := strings.Join(schema.Defs["Route"].Required, " "); got != "name match auth" {
		t.Errorf("required of a route are %q", got)
	}
	for field, want := range map[string]string{
		schema.Properties["trustedHops"].Description:                   "TrustedHops is how many proxies",
		schema.Defs["Route"].Properties["compress"].Description:        "Compress compresses answers",
		schema.Defs["Limit"].Properties["slidingWindow"].Description:   "SlidingWindow counts by sixtieths",
		schema.Defs["Backend"].Properties["endpoints"].Description:     "Endpoints are host:port. ",
		schema.Defs["Backend"].Properties["loadBalancing"].Description: "LoadBalancing picks the endpoint. Left out, it means round_robin.",
		schema.Defs["Listener"].Properties["rateLimit"].Description:    "RateLimit says who asks",
	} {
		if !strings.HasPrefix(field, want) {
			t.Errorf("description %q does not begin with %q", field, want)
		}
	}
	for name, definition := range schema.Defs {
		if name != "RouteAuth" && name != "ValueMatch" && name != "Cost" && name != "Endpoint" && name != "LoadBalancing" && name != "Compress" && name != "HTTPSRedirect" && (definition.AdditionalProperties == nil || *definition.AdditionalProperties) {
			t.Errorf("%s takes unknown fields", name)
		}
	}
}
