package store

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	consulapi "github.com/gatewright/gatewright/internal/consul"
)

// consulClient speaks the two parts of Consul's HTTP API that are needed:
//
//	https://developer.hashicorp.com/consul/api-docs/kv
//	https://developer.hashicorp.com/consul/api-docs/txn
type consulClient struct{ *consulapi.Client }

// consulPair is a key in an answer.
type consulPair struct {
	Key         string
	Value       []byte
	Flags       uint64
	ModifyIndex uint64
}

func (p consulPair) same(q consulPair) bool {
	return p.ModifyIndex == q.ModifyIndex && bytes.Equal(p.Value, q.Value)
}

// consulOp is an operation of a transaction on a key.
type consulOp struct {
	Verb  string
	Key   string
	Value []byte `json:",omitempty"`
	Flags uint64 `json:",omitempty"`
	Index uint64
}

// consulRefusal is a transaction that was rolled back, and why.
type consulRefusal string

func (r consulRefusal) Error() string { return "transaction refused by Consul: " + string(r) }

// get reads a key, or with recurse all that begin with it. A key that is not
// there is no error. index is X-Consul-Index.
func (c *consulClient) get(ctx context.Context, key string, query url.Values) (pairs []consulPair, index uint64, err error) {
	answer, err := c.Do(ctx, http.MethodGet, "/v1/kv/"+key, query, nil)
	switch {
	case err != nil:
		return nil, 0, err
	case answer.Status != http.StatusOK && answer.Status != http.StatusNotFound:
		return nil, 0, c.Unexpected(answer)
	}
	if index, err = c.Index(answer); err != nil { // the config is not gone for that
		return nil, 0, err
	}
	if answer.Status == http.StatusNotFound {
		return nil, index, nil
	}
	if err := c.Read(answer, &pairs); err != nil {
		return nil, 0, err
	}
	return pairs, index, nil
}

// transact does all of the operations, or none. The error is a consulRefusal
// where Consul did none since one of them cannot be done.
func (c *consulClient) transact(ctx context.Context, ops []consulOp) error {
	type operation struct{ KV consulOp }
	wrapped := make([]operation, len(ops))
	for i, op := range ops {
		wrapped[i].KV = op
	}
	request, err := json.Marshal(wrapped)
	if err != nil {
		return fmt.Errorf("writing a transaction: %w", err)
	}
	answer, err := c.Do(ctx, http.MethodPut, "/v1/txn", nil, request)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errOutcomeUnknown, err)
	case answer.Status == http.StatusOK:
		return nil
	case answer.Status == http.StatusConflict:
		return refusal(answer.Body)
	case answer.Status == http.StatusRequestEntityTooLarge:
		return ErrTooLarge
	case answer.Status >= http.StatusInternalServerError:
		return fmt.Errorf("%w: %w", errOutcomeUnknown, c.Unexpected(answer))
	}
	return c.Unexpected(answer)
}

func refusal(body []byte) error {
	var answer struct{ Errors []struct{ What string } }
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Errors) == 0 {
		return consulRefusal(consulapi.Excerpt(body))
	}
	var what []string
	for _, e := range answer.Errors {
		what = append(what, e.What)
	}
	return consulRefusal(strings.Join(what, "; "))
}
