package config

import (
	"bytes"
	_ "embed"
)

//go:generate go -C internal/schemagen run .

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of a config file, for editors. It
// knows the whole language, and marks what is not yet supported. It says what
// a single value may be; what values may be together, Load alone judges.
func Schema() []byte { return bytes.Clone(schema) }
