package demo

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxTTL bounds ?ttl=, in both directions: below 0 the token has expired.
const maxTTL = 24 * time.Hour

// order is what a query to /token asks for.
type order struct {
	claims    map[string]any
	algorithm string
	ttl       time.Duration
}

// serveToken signs what the query asks for:
//
//	sub     who; alice if not said
//	role    the claim role
//	tenant  the claim tenant
//	scope   the claim scope: names with spaces, or +, between them
//	aud     for whom, may be repeated; api if not said
//	ttl     how long it is valid, as 5m; below 0 it has expired
//	alg     RS256 (if not said) or ES256
//
// The answer is the token as plain text; in JSON, as of RFC 6749, 5.1, with
// ?format=json or Accept: application/json. It is a GET so that curl needs no
// flags, which no real provider would do.
func (p *IDP) serveToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	order, err := orderOf(query, p.now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	token, err := p.token(order.claims, WithAlgorithm(order.algorithm))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if query.Get("format") == "json" || strings.Contains(r.Header.Get("Accept"), "application/json") {
		writeJSON(w, http.StatusOK, map[string]any{
			"access_token": token,
			"token_type":   "Bearer",
			"expires_in":   int64(order.ttl.Seconds()),
		})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, token)
}

// orderOf reads the query. A parameter it does not know is an error, so that a
// misspelt one does not make another token than was meant.
func orderOf(query url.Values, now time.Time) (order, error) {
	if err := parametersFault(query); err != nil {
		return order{}, err
	}
	o := order{
		claims:    map[string]any{"sub": "alice"},
		algorithm: RS256,
		ttl:       DefaultTTL,
	}
	for _, claim := range []string{"sub", "role", "tenant", "scope"} {
		if query.Has(claim) {
			o.claims[claim] = query.Get(claim)
		}
	}
	switch audiences := query["aud"]; len(audiences) {
	case 0:
	case 1:
		o.claims["aud"] = audiences[0]
	default:
		o.claims["aud"] = audiences
	}
	if text := query.Get("alg"); text != "" {
		if signers[text] == nil {
			return order{}, fmt.Errorf("alg: %q, must be %s or %s", text, RS256, ES256)
		}
		o.algorithm = text
	}
	if text := query.Get("ttl"); text != "" {
		ttl, err := time.ParseDuration(text)
		if err != nil || ttl.Abs() > maxTTL {
			return order{}, fmt.Errorf("ttl: %q, must be a duration up to %s, as 5m", text, maxTTL)
		}
		o.ttl = ttl
	}
	o.claims["exp"] = now.Add(o.ttl).Unix()
	return o, nil
}

func parametersFault(query url.Values) error {
	known := []string{"sub", "role", "tenant", "scope", "aud", "ttl", "alg", "format"}
	var faults []error
	for name, values := range query {
		switch {
		case !slices.Contains(known, name):
			faults = append(faults, fmt.Errorf("%s: unknown parameter, must be one of %s", name, strings.Join(known, ", ")))
		case len(values) > 1 && name != "aud":
			faults = append(faults, fmt.Errorf("%s: given %d times", name, len(values)))
		}
	}
	return errors.Join(faults...)
}
