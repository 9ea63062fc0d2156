package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// memory is the part of the report on many tokens: what a server holds that has
// seen so many, each once.
func (b *bench) memory(ctx context.Context) (string, error) {
	if b.many == 0 {
		return "", nil
	}
	b.say("signing %d tokens", b.many)
	tokens, err := b.issuer.messages("EdDSA", 1<<30, b.many)
	if err != nil {
		return "", err
	}
	s, err := b.gatewright(ctx)
	if err != nil {
		return "", err
	}
	r := &row{what: "many tokens", server: s, messages: tokens}
	if r.conn, err = dial(s.grpc); err != nil {
		return "", err
	}
	before, err := s.resident()
	if err != nil {
		return "", err
	}
	if _, err := r.load(b.streams, func(calls int) bool { return calls < b.many }); err != nil {
		return "", err
	}
	after, err := s.resident()
	if err != nil {
		return "", err
	}
	metrics, err := s.metrics(ctx)
	if err != nil {
		return "", err
	}
	const most = 65536 // what GATEWRIGHT_TOKEN_CACHE_ENTRIES is by default
	entries := metrics["gatewright_token_cache_entries"]
	return fmt.Sprintf("\n| what | remembered | resident before | after | goal | met |\n|---|---|---|---|---|---|\n| %d distinct tokens | %.0f | %d MiB | %d MiB | at most %d remembered | %s |\n",
		b.many, entries, before>>20, after>>20, most, yes(entries <= most)), nil
}

// resident is the memory that the process has.
func (s *server) resident() (int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("reading the memory: %w", err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(data))[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the memory: %w", err)
	}
	return pages * int64(os.Getpagesize()), nil
}
