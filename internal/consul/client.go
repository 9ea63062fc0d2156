// Package consul speaks HTTP to a Consul agent: what the config store and the
// discovery of endpoints have in common.
//
//	https://developer.hashicorp.com/consul/api-docs
package consul

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

// Client asks one agent. New makes one; it may be used by many at once.
type Client struct {
	base  url.URL
	token string
	http  *http.Client
}

// New is the client of the agent at a base, http:// or https:// and a host. The token
// may be empty. Redirects are not followed: the token is for this host.
func New(base url.URL, token string, transport *http.Transport) *Client {
	return &Client{base: base, token: token, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Host is where the agent is.
func (c *Client) Host() string { return c.base.Host }

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Answer is what Consul says to a request.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// maxAnswer bounds what is read of an answer. A value of a key has 512 KiB, unless
// Consul was told otherwise, and a third more in base64; lists of them are longer.
const maxAnswer = 128 << 20

// Do makes one request, and reads its answer whole.
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, body []byte) (Answer, error) {
	at := c.base
	at.Path, at.RawQuery = path, query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, at.String(), bytes.NewReader(body))
	if err != nil {
		return Answer{}, fmt.Errorf("asking Consul at %s: %w", c.base.Host, err)
	}
	if c.token != "" {
		request.Header.Set("X-Consul-Token", c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return Answer{}, fmt.Errorf("asking Consul at %s: no answer: %w", c.base.Host, withoutURL(err))
	}
	defer response.Body.Close() // only read from
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return Answer{}, fmt.Errorf("reading the answer of Consul at %s: %w", c.base.Host, err)
	}
	if len(answer) > maxAnswer {
		return Answer{}, fmt.Errorf("the answer of Consul at %s has more than %d bytes", c.base.Host, maxAnswer)
	}
	return Answer{response.StatusCode, response.Header, answer}, nil
}

// Index is the answer's X-Consul-Index, by which a later query waits for a change.
// Without it the answer is not Consul's: any web server has a 404 for any path.
func (c *Client) Index(a Answer) (uint64, error) {
	index, err := strconv.ParseUint(a.Header.Get("X-Consul-Index"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("asking Consul at %s: HTTP %d without X-Consul-Index, so this is not Consul", c.base.Host, a.Status)
	}
	return index, nil
}

// Read reads the JSON of an answer into out.
func (c *Client) Read(a Answer, out any) error {
	if err := json.Unmarshal(a.Body, out); err != nil {
		return fmt.Errorf("reading the answer of Consul at %s: %w", c.base.Host, err)
	}
	return nil
}

// Unexpected is the error for an answer that is none of those that are known.
func (c *Client) Unexpected(a Answer) error {
	if a.Status == http.StatusForbidden {
		return fmt.Errorf("asking Consul at %s: not permitted, does the token in GATEWRIGHT_CONSUL_TOKEN have the rights? (%s)", c.base.Host, Excerpt(a.Body))
	}
	return fmt.Errorf("asking Consul at %s: HTTP %d: %s", c.base.Host, a.Status, Excerpt(a.Body))
}

// Excerpt is the beginning of an answer, in quotes, on one line.
func Excerpt(body []byte) string {
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
