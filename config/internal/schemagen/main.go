// Command schemagen writes the JSON Schema of the config language to
// config/schema.json, and the page on each of its fields to docs/reference.md. It runs in its own folder, by go generate ./config.
package main

import (
	"fmt"
	"os"
)

// The model, whose comments become descriptions, and what is made of it, as seen from
// this folder.
const (
	modelFiles    = "../../model*.go"
	schemaFile    = "../../schema.json"
	referenceFile = "../../../docs/reference.md"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "schemagen:", err)
		os.Exit(1)
	}
}

func write() error {
	schema, err := Generate(modelFiles)
	if err != nil {
		return err
	}
	if err := os.WriteFile(schemaFile, schema, 0o644); err != nil {
		return err
	}
	model, err := Schema(modelFiles)
	if err != nil {
		return err
	}
	return os.WriteFile(referenceFile, Reference(model), 0o644)
}
