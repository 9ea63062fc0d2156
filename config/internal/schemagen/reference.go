package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"
)

// introduction is what the reference begins with.
const introduction = `# Reference

Every field of ` + "`gateway.yaml`" + `. This page is made from the types that read the file ([config](../config), by ` + "`go generate ./config`" + `), as is the
JSON Schema with which editors complete it (` + "`gatewright schema`" + `); a test holds both to be current. A field that is not here is refused,
with its line and what was perhaps meant. Durations are as ` + "`500ms`, `10s`, `1h30m`" + `; rates as ` + "`10/s`, `600/m`" + `. Settings of the process are in the
[README](../README.md#settings); what the fields are good for is in the pages on [routes](routes.md), [limits](limits.md) and the others.
`

// Reference is the page on every field, from the schema of the language: the file's
// own fields, and then each type in the order in which it is first named.
func Reference(schema *jsonschema.Schema) []byte {
	r := &reference{definitions: schema.Definitions}
	r.page.WriteString(introduction)
	r.section("gateway.yaml", schema)
	for i := 0; i < len(r.named); i++ { // it grows meanwhile
		r.section(r.named[i], schema.Definitions[r.named[i]])
	}
	return []byte(r.page.String())
}

type reference struct {
	definitions jsonschema.Definitions
	// named are the types that were named so far.
	named []string
	page  strings.Builder
}

func (r *reference) section(name string, s *jsonschema.Schema) {
	fmt.Fprintf(&r.page, "\n## %s\n\n", name)
	if s.Description != "" {
		fmt.Fprintf(&r.page, "%s\n\n", inline(s.Description))
	}
	whole := s
	if len(s.OneOf) > 0 && s.Properties.Len() == 0 { // a short form, and the whole
		whole = s.OneOf[len(s.OneOf)-1]
		for _, short := range s.OneOf[:len(s.OneOf)-1] {
			fmt.Fprintf(&r.page, "Or, in short: %s. %s\n\n", r.kind(short), inline(short.Description))
		}
	}
	r.page.WriteString("| field | is | what it means |\n|---|---|---|\n")
	for p := whole.Properties.Oldest(); p != nil; p = p.Next() {
		is := r.kind(p.Value)
		if slices.Contains(whole.Required, p.Key) {
			is += ", required"
		}
		fmt.Fprintf(&r.page, "| `%s` | %s | %s |\n", p.Key, is, cell(meaning(p.Key, p.Value.Description)))
	}
}

// kind is what a value is, in words.
func (r *reference) kind(s *jsonschema.Schema) string {
	switch {
	case s.Ref != "":
		name := strings.TrimPrefix(s.Ref, "#/$defs/")
		if !slices.Contains(r.named, name) {
			r.named = append(r.named, name)
		}
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	case s.Const != nil:
		return fmt.Sprintf("`%v`", s.Const)
	case len(s.Enum) > 0:
		return oneOf(s.Enum)
	case s.Type == "array":
		return "list of " + r.kind(s.Items)
	case s.Type == "object" && s.AdditionalProperties != nil:
		return "mapping of names to " + r.kind(s.AdditionalProperties)
	case len(s.Examples) > 0:
		return "as " + oneOf(s.Examples)
	case len(s.OneOf) > 0:
		var kinds []string
		for _, k := range s.OneOf {
			kinds = append(kinds, r.kind(k))
		}
		return strings.Join(kinds, " or ")
	case s.Pattern != "":
		return "text that fits `" + cell(s.Pattern) + "`"
	case s.Type == "string":
		return "text"
	case s.Type == "integer":
		return "whole number"
	case s.Type == "boolean":
		return "`true` or `false`"
	default:
		return s.Type
	}
}

func oneOf(values []any) string {
	var out []string
	for _, v := range values {
		out = append(out, cell(fmt.Sprintf("`%v`", v)))
	}
	return strings.Join(out, ", ")
}

// meaning is a description that begins with the field's name as the file has it, where
// it begins with the one that Go has.
func meaning(field, description string) string {
	first, rest, _ := strings.Cut(description, " ")
	if strings.EqualFold(first, field) {
		return "`" + field + "` " + inline(rest)
	}
	return inline(description)
}

// inline keeps text from being read as anything but text.
func inline(text string) string {
	return strings.NewReplacer("<", "&lt;", "*", `\*`, "_", `\_`).Replace(text)
}

// cell is text within a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
