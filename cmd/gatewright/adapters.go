package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/keys"
	"github.com/gatewright/gatewright/ratelimit"
)

// The judge declares what it needs of limits and keys, and the packages that
// have it know nothing of the judge. Here the two are put together.

// limiter is a ratelimit.Limiter as the judge wants it.
type limiter struct{ *ratelimit.Limiter }

func (l limiter) Take(ctx context.Context, charges []authz.Charge) authz.LimitResult {
	return limitResult(l.Limiter.Take(ctx, asTaken(charges)))
}

func (l limiter) Recall(charges []authz.Charge) (authz.LimitResult, bool) {
	d, ok := l.Limiter.Recall(asTaken(charges))
	return limitResult(d), ok
}

func asTaken(charges []authz.Charge) []ratelimit.Charge {
	taken := make([]ratelimit.Charge, len(charges))
	for i, c := range charges {
		taken[i] = ratelimit.Charge{Limit: c.Limit, Key: c.Key, Allowance: c.Allowance, Cost: c.Cost}
	}
	return taken
}

func limitResult(d ratelimit.Decision) authz.LimitResult {
	return authz.LimitResult{
		Allowed:    d.Allowed,
		StoreDown:  d.Unavailable,
		Limit:      d.Limit,
		Capacity:   d.Capacity,
		Remaining:  d.Remaining,
		RetryAfter: d.RetryAfter,
		ResetAfter: d.ResetAfter,
		Handles:    d.Handles,
		Shadow:     d.Shadow,
	}
}

// keyFinder is a keys.Cache as the judge wants it.
type keyFinder struct{ *keys.Cache }

func (k keyFinder) Find(ctx context.Context, text string) (authz.APIKeyRecord, authz.APIKeyState, error) {
	found, err := k.Cache.Find(ctx, text)
	if err != nil {
		return authz.APIKeyRecord{}, authz.Unknown, err
	}
	return authz.APIKeyRecord{
		ID:          found.Record.ID,
		Owner:       found.Record.Owner,
		Tenant:      found.Record.Tenant,
		Plan:        found.Record.Plan,
		Permissions: found.Record.Permissions,
	}, apiKeyState(found.State), nil
}

// agreedWith is what is agreed on with a customer, as the judge wants it.
func agreedWith(customers *keys.Customers) func(tenant string) authz.Tenant {
	return func(tenant string) authz.Tenant {
		if record := customers.Find(tenant); record != nil {
			return authz.Tenant{Plan: record.Plan, Limits: record.Limits}
		}
		return authz.Tenant{}
	}
}

// apiKeyState translates a verdict. What it does not know admits nobody.
func apiKeyState(s keys.State) authz.APIKeyState {
	switch s {
	case keys.Valid:
		return authz.Valid
	case keys.Revoked:
		return authz.Revoked
	case keys.Expired:
		return authz.Expired
	case keys.Malformed:
		return authz.Malformed
	default:
		return authz.Unknown
	}
}

// errRevocationsUnknown is why tokens are refused that may have been revoked.
var errRevocationsUnknown = errors.New("the revocations of tokens have not been read yet, and GATEWRIGHT_REVOCATIONS_REQUIRED is set")

// tokenRevoked tells of the claims of a token whether it has been revoked. It is
// an error where nobody knows, and required is set. Claims are read only where
// something is revoked.
func tokenRevoked(by *keys.RevokedTokens, required bool) func(claims map[string]any) (bool, error) {
	return func(claims map[string]any) (bool, error) {
		switch {
		case required && !by.Known():
			return false, errRevocationsUnknown
		case by.None():
			return false, nil
		}
		return by.Revoked(tokenOf(claims)), nil
	}
}

// tokenOf is what a revocation can know of a token.
func tokenOf(claims map[string]any) keys.Token {
	text := func(name string) string {
		s, _ := claims[name].(string)
		return s
	}
	token := keys.Token{Issuer: text("iss"), ID: text("jti"), Subject: text("sub")}
	if n, ok := claims["iat"].(json.Number); ok {
		// What is no number of seconds counts as not said, so as issued before all.
		if seconds, err := n.Float64(); err == nil {
			token.IssuedAt = time.UnixMilli(int64(seconds * 1000))
		}
	}
	return token
}
