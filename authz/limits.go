package authz

import (
	"context"
	"strings"
	"time"

	"github.com/gatewright/gatewright/config"
)

// Charge is one limit to charge a request to, under one key.
type Charge struct {
	Limit *config.Limit
	// Key has a value for each part of Limit.Key, in its order. What a request
	// does not have is empty.
	Key []string
	// Allowance is what the limit is for the caller.
	Allowance config.Allowance
}

// LimitResult is the answer of the limiter to all charges of a request
// together. The zero value denies.
type LimitResult struct {
	// Allowed: every limit had room, and all were charged. Otherwise none was.
	Allowed bool
	// StoreDown: it was denied because the store cannot answer.
	StoreDown bool
	// Limit is the name of the tightest limit: the one that denied, or that
	// has the least room left. Empty where nothing was counted.
	Limit string
	// Capacity and Remaining are that limit's, in requests.
	Capacity, Remaining int64
	// RetryAfter is how long until the request would pass. 0 when it passed.
	RetryAfter time.Duration
	// ResetAfter is how long until the limit is full again.
	ResetAfter time.Duration
}

// Limiter charges limits. Package ratelimit implements it.
type Limiter interface {
	// Take charges one request to every charge, or to none.
	Take(ctx context.Context, charges []Charge) LimitResult
}

// headerValues returns the values of the headers in the keys of the policy's
// limits. It fails where a header that counts is doubtful.
func headerValues(rq *request, p *Policy) (map[config.KeyPart]string, *refusal) {
	var values map[config.KeyPart]string
	for _, limit := range p.Limits {
		for _, part := range limit.Key {
			name, isHeader := strings.CutPrefix(string(part), config.KeyHeaderPrefix)
			if !isHeader {
				continue
			}
			value, refused := rq.limitHeader(name)
			if refused != nil {
				return nil, refused
			}
			if values == nil {
				values = map[config.KeyPart]string{}
			}
			values[part] = value
		}
	}
	return values, nil
}

// keyValue is the value of one part of a limit's key for one request. A value
// that the request does not have is empty.
func (s *Server) keyValue(part config.KeyPart, rq *request, id *Identity, headers map[config.KeyPart]string) string {
	switch part {
	case config.KeyUser:
		return id.userKey()
	case config.KeyTenant:
		return id.Tenant
	case config.KeyAPIKey:
		return id.KeyID
	case config.KeyClientIP:
		return s.clientIPKey(rq.clientIP())
	case config.KeyRoute:
		return rq.route
	}
	if claim, ok := strings.CutPrefix(string(part), config.KeyClaimPrefix); ok {
		return claimText(id.Claims[claim])
	}
	return headers[part]
}

// userKey is the caller as limits count callers. The provider is in it: the
// same sub from two issuers is two callers.
func (id *Identity) userKey() string {
	name := id.User
	if id.KeyID != "" {
		name = id.KeyID
	}
	if name == "" {
		return ""
	}
	return id.Provider + ":" + name
}

func (s *Server) charges(p *Policy, rq *request, id *Identity, t terms, headers map[config.KeyPart]string) []Charge {
	all := make([]Charge, len(p.Limits))
	for i, limit := range p.Limits {
		key := make([]string, len(limit.Key))
		for j, part := range limit.Key {
			key[j] = s.keyValue(part, rq, id, headers)
		}
		all[i] = Charge{Limit: limit, Key: key, Allowance: t.allowance(limit)}
	}
	return all
}

// limitKeys are the same values by the names of the parts, for the descriptors
// of Envoy's ratelimit filter.
func limitKeys(charges []Charge) map[string]string {
	keys := map[string]string{}
	for _, c := range charges {
		for i, part := range c.Limit.Key {
			keys[string(part)] = c.Key[i]
		}
	}
	return keys
}

// limitPlans are what the limits are for the caller, by their names, for the same
// descriptors. Nil where they are for the caller what they are for everybody.
func limitPlans(charges []Charge) map[string]string {
	var plans map[string]string
	for _, c := range charges {
		text := c.Allowance.String()
		if text == "" {
			continue
		}
		if plans == nil {
			plans = map[string]string{}
		}
		plans[c.Limit.Name] = text
	}
	return plans
}

// absent stands in for a limiter or a key store that was not given: it
// cannot answer, and so denies.
type absent struct{}

func (absent) Take(context.Context, []Charge) LimitResult { return LimitResult{StoreDown: true} }

func (absent) Find(context.Context, string) (APIKeyRecord, APIKeyState, error) {
	return APIKeyRecord{}, Unknown, errAbsent
}
