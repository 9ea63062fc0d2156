// Command schemagen writes the JSON Schema of the config language to
// config/schema.json. It runs in its own folder, by go generate ./config.
package main

import (
	"fmt"
	"os"
)

// The model, whose comments become descriptions, and the schema, as seen from
// this folder.
const (
	modelFiles = "../../model*.go"
	schemaFile = "../../schema.json"
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
	return os.WriteFile(schemaFile, schema, 0o644)
}
