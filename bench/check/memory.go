package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// mostRemembered is what GATEWRIGHT_TOKEN_CACHE_ENTRIES and
// GATEWRIGHT_KEYS_CACHE_ENTRIES are by default.
const mostRemembered = 65536

// memory is the part of the report on many tokens and keys: what a server holds
// that has seen so many, each once.
func (b *bench) memory(ctx context.Context) (string, error) {
	if b.many == 0 {
		return "", nil
	}
	b.say("signing %d tokens", b.many)
	tokens, err := b.issuer.messages("EdDSA", 1<<30, b.many)
	if err != nil {
		return "", err
	}
	ofTokens, err := b.held(ctx, "distinct tokens", "gatewright_token_cache_entries", tokens)
	if err != nil {
		return "", err
	}
	b.say("importing %d keys", b.many)
	database := "sqlite:" + filepath.Join(b.dir, "many.db")
	keyed, err := b.issuer.importedMessages(ctx, database, b.many)
	if err != nil {
		return "", err
	}
	ofKeys, err := b.held(ctx, "distinct keys", "gatewright_keys_cache_entries", keyed, "GATEWRIGHT_DATABASE_URL="+database)
	if err != nil {
		return "", err
	}
	return "\n| what | remembered | resident before | after | goal | met |\n|---|---|---|---|---|---|\n" + ofTokens + ofKeys, nil
}

// held is a row on a server of its own that is shown each message once: by its
// gauge, how many it remembers.
func (b *bench) held(ctx context.Context, what, gauge string, messages [][]byte, env ...string) (string, error) {
	s, err := b.gatewright(ctx, env...)
	if err != nil {
		return "", err
	}
	r := &row{what: what, server: s, messages: messages}
	if r.conn, err = dial(s, passes); err != nil {
		return "", err
	}
	before, err := s.Resident()
	if err != nil {
		return "", err
	}
	if _, err := r.load(b.streams, func(calls int) bool { return calls < len(messages) }); err != nil {
		return "", err
	}
	after, err := s.Resident()
	if err != nil {
		return "", err
	}
	metrics, err := s.Metrics(ctx)
	if err != nil {
		return "", err
	}
	entries := metrics[gauge]
	return fmt.Sprintf("| %d %s | %.0f | %d MiB | %d MiB | at most %d remembered | %s |\n",
		len(messages), what, entries, before>>20, after>>20, mostRemembered, rig.Yes(entries > 0 && entries <= mostRemembered)), nil
}
