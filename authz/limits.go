package authz

import (
	"context"
	"strconv"
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
	// Cost is what the request takes. 0 means 1; NoCost, and all below, takes none.
	Cost int64
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
	// RetryAfter is how long until the request would pass. 0 when it passed;
	// negative when it never can, since it costs more than the limit holds.
	RetryAfter time.Duration
	// ResetAfter is how long until the limit is full again.
	ResetAfter time.Duration
	// Shadow names the limits in shadow that would deny it.
	Shadow []string
	// Handles are by what the request is released when it has ended, where limits
	// count requests in flight. None has a space in it.
	Handles []string
}

// Limiter charges limits. Package ratelimit implements it.
type Limiter interface {
	// Take charges one request to every charge, or to none.
	Take(ctx context.Context, charges []Charge) LimitResult
	// Recall tells of a request that Take would deny, as far as that is known
	// without asking anybody: ok is false where it is not. It charges nothing, and
	// waits for nobody.
	Recall(charges []Charge) (denied LimitResult, ok bool)
	// Release tells that a request has ended, by the handles of its LimitResult. It
	// waits for nobody.
	Release(handles []string)
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

// limitKeys are the values of keys by the names of the parts, for the descriptors
// of Envoy's ratelimit filter. The address is whole, and each limit makes of it what
// it counts by.
func limitKeys(charges []Charge, rq *request) map[string]string {
	keys := map[string]string{}
	for _, c := range charges {
		for i, part := range c.Limit.Key {
			keys[string(part)] = c.Key[i]
			if part == config.KeyClientIP {
				keys[string(part)] = rq.clientIP()
			}
		}
	}
	return keys
}

// limitCosts are what the request takes, by the names of the limits, for the same
// descriptors. Nil where it takes of each what all requests do.
func limitCosts(charges []Charge) map[string]string {
	var costs map[string]string
	for _, c := range charges {
		if !c.Limit.Cost.Varies() {
			continue
		}
		if costs == nil {
			costs = map[string]string{}
		}
		costs[c.Limit.Name] = strconv.FormatInt(max(c.Cost, 0), 10)
	}
	return costs
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

func (absent) Recall([]Charge) (LimitResult, bool) { return LimitResult{}, false }

func (absent) Release([]string) {}

func (absent) Find(context.Context, string) (APIKeyRecord, APIKeyState, error) {
	return APIKeyRecord{}, Unknown, errAbsent
}
