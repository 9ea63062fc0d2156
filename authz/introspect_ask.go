package authz

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// maxIntrospectionBytes bounds an answer. It is as much as a token may have,
// twice, and thereby bounds what is remembered of one.
const maxIntrospectionBytes = 16 << 10

// issuerAccess is how an issuer is asked. It is immutable.
type issuerAccess struct {
	url           string
	authorization string // secret
	client        *http.Client
}

// basicAuthorization is HTTP Basic as OAuth has it: id and secret are encoded
// as in a form first (RFC 6749, section 2.3.1), so that a colon in one of them
// does not end it.
func basicAuthorization(id, secret string) string {
	pair := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
}

// ask asks about a token (RFC 7662, section 2). An error is that the issuer
// gave no answer that can be relied on. It holds nothing of the token.
func (a *issuerAccess) ask(ctx context.Context, token string) (introspected, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, strings.NewReader(form.Encode()))
	if err != nil {
		return introspected{}, fmt.Errorf("asking about a token: %w", withoutURL(err))
	}
	request.Header.Set("Authorization", a.authorization)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	response, err := a.client.Do(request)
	if err != nil {
		return introspected{}, fmt.Errorf("asking about a token: %w", withoutURL(err))
	}
	defer func() { _ = response.Body.Close() }() // nothing is lost by it
	// 401 is what the issuer says of our own secret, not of the token.
	if response.StatusCode != http.StatusOK {
		return introspected{}, fmt.Errorf("asking about a token: status %d", response.StatusCode)
	}
	if kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return introspected{}, errors.New("asking about a token: the answer is not application/json")
	}
	body, err := readBounded(response.Body, maxIntrospectionBytes)
	if err != nil {
		return introspected{}, fmt.Errorf("reading an answer about a token: %w", err)
	}
	return readIntrospection(body)
}

// readIntrospection reads an answer: strict JSON with active as a boolean.
// "true" and 1 are not: who writes such answers may mean anything by them.
func readIntrospection(body []byte) (introspected, error) {
	answer, err := decodeObject(body)
	if err != nil {
		return introspected{}, fmt.Errorf("reading an answer about a token: %w", err)
	}
	active, ok := answer["active"].(bool)
	switch {
	case !ok:
		return introspected{}, errors.New("reading an answer about a token: active is not true or false")
	case !active:
		return introspected{}, nil // whatever else is in it
	}
	delete(answer, "active")
	return introspected{active: true, claims: answer}, nil
}

// withoutURL is what broke, without the URL, which may hold a secret.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
