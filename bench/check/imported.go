package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/gatewright/gatewright/keys"
)

// importSize is how many keys are imported at once: as many as a file may have.
const importSize = 10_000

// importedMessages are CheckRequests with so many different keys of a database.
// They are imported, as each that is made is a commit of its own.
func (i *issuer) importedMessages(ctx context.Context, database string, n int) (_ [][]byte, err error) {
	store, err := keys.Open(ctx, keys.Settings{DatabaseURL: database})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	texts := make([]string, n)
	for j := range texts {
		key, err := keys.New(rand.Reader)
		if err != nil {
			return nil, err
		}
		texts[j] = key.Secret.Reveal()
	}
	for chunk := range slices.Chunk(texts, importSize) {
		if err := importKeys(ctx, store, chunk); err != nil {
			return nil, err
		}
	}
	out := make([][]byte, n)
	for j, text := range texts {
		if out[j], err = i.message("key", "x-api-key", text); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// importKeys imports keys of these texts, all or none.
func importKeys(ctx context.Context, store *keys.Store, texts []string) error {
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	for _, text := range texts {
		line := map[string]any{"name": "bench", "key": text, "owner": "owner-" + text[3:16], "tenant": "acme", "permissions": []string{"users:read"}}
		if err := encoder.Encode(line); err != nil {
			return fmt.Errorf("writing a key: %w", err)
		}
	}
	imports, err := keys.ReadJSONLines(&lines)
	if err != nil {
		return err
	}
	_, err = store.Import(ctx, imports)
	return err
}
