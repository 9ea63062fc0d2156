package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// consulClient speaks the two parts of Consul's HTTP API that are needed:
//
//	https://developer.hashicorp.com/consul/api-docs/kv
//	https://developer.hashicorp.com/consul/api-docs/txn
type consulClient struct {
	base  url.URL
	token string
	http  *http.Client
}

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

// maxAnswer bounds what is read of an answer. A value has 512 KiB, unless
// Consul was told otherwise, and a third more in base64.
const maxAnswer = 128 << 20

// get reads a key, or with recurse all that begin with it. A key that is not
// there is no error. index is X-Consul-Index.
func (c *consulClient) get(ctx context.Context, key string, query url.Values) (pairs []consulPair, index uint64, err error) {
	status, header, body, err := c.do(ctx, http.MethodGet, "/v1/kv/"+key, query, nil)
	switch {
	case err != nil:
		return nil, 0, err
	case status != http.StatusOK && status != http.StatusNotFound:
		return nil, 0, c.unexpected(status, body)
	}
	index, err = strconv.ParseUint(header.Get("X-Consul-Index"), 10, 64)
	if err != nil {
		// Any web server answers 404 to this path; the config is not gone for that.
		return nil, 0, fmt.Errorf("asking Consul at %s: HTTP %d without X-Consul-Index, so this is not Consul", c.base.Host, status)
	}
	if status == http.StatusNotFound {
		return nil, index, nil
	}
	if err := json.Unmarshal(body, &pairs); err != nil {
		return nil, 0, fmt.Errorf("reading the answer of Consul at %s: %w", c.base.Host, err)
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
	status, _, body, err := c.do(ctx, http.MethodPut, "/v1/txn", nil, request)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errOutcomeUnknown, err)
	case status == http.StatusOK:
		return nil
	case status == http.StatusConflict:
		return refusal(body)
	case status == http.StatusRequestEntityTooLarge:
		return ErrTooLarge
	case status >= http.StatusInternalServerError:
		return fmt.Errorf("%w: %w", errOutcomeUnknown, c.unexpected(status, body))
	}
	return c.unexpected(status, body)
}

func refusal(body []byte) error {
	var answer struct{ Errors []struct{ What string } }
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Errors) == 0 {
		return consulRefusal(excerpt(body))
	}
	var what []string
	for _, e := range answer.Errors {
		what = append(what, e.What)
	}
	return consulRefusal(strings.Join(what, "; "))
}

// do makes one request.
func (c *consulClient) do(ctx context.Context, method, path string, query url.Values, body []byte) (status int, header http.Header, answer []byte, err error) {
	at := c.base
	at.Path, at.RawQuery = path, query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, at.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("asking Consul at %s: %w", c.base.Host, err)
	}
	if c.token != "" {
		request.Header.Set("X-Consul-Token", c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("asking Consul at %s: no answer: %w", c.base.Host, withoutURL(err))
	}
	defer response.Body.Close() // only read from
	answer, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("reading the answer of Consul at %s: %w", c.base.Host, err)
	}
	if len(answer) > maxAnswer {
		return 0, nil, nil, fmt.Errorf("the answer of Consul at %s has more than %d bytes", c.base.Host, maxAnswer)
	}
	return response.StatusCode, response.Header, answer, nil
}

// unexpected is an answer that is none of those that are known.
func (c *consulClient) unexpected(status int, body []byte) error {
	if status == http.StatusForbidden {
		return fmt.Errorf("asking Consul at %s: not permitted, does the token in GATEWRIGHT_CONSUL_TOKEN have the rights? (%s)", c.base.Host, excerpt(body))
	}
	return fmt.Errorf("asking Consul at %s: HTTP %d: %s", c.base.Host, status, excerpt(body))
}

// excerpt is the beginning of an answer, on one line.
func excerpt(body []byte) string {
	const enough = 200
	text := strings.TrimSpace(string(body))
	if len(text) > enough {
		text = text[:enough] + "…"
	}
	return fmt.Sprintf("%q", text)
}

// withoutURL drops the method and the address that net/http puts before an error.
func withoutURL(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}
