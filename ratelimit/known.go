package ratelimit

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/config"
)

// mostKnown is of how many limits it is kept what they come to. A config has fewer
// than that, mostly; but each reload brings others, by their addresses.
const mostKnown = 1 << 12

// knownLimits keep what limits come to, which is the same for all of their requests.
// The zero value knows none.
type knownLimits struct {
	of   atomic.Pointer[sync.Map] // of *knownLimit, by *config.Limit
	size atomic.Int64
}

// knownLimit is what a limit comes to.
type knownLimit struct {
	own   Definition
	plans map[string]Definition
	keep  int64 // see Demand
	// decided are the counters of its decisions, as far as they have been needed:
	// what has not happened has no series.
	decided [results]atomic.Pointer[prometheus.Counter]
}

// all are those that are known.
func (k *knownLimits) all() *sync.Map {
	if all := k.of.Load(); all != nil {
		return all
	}
	k.of.CompareAndSwap(nil, &sync.Map{})
	return k.of.Load()
}

// limit is what l comes to. Errors are those of NewDefinition.
func (k *knownLimits) limit(l *config.Limit) (*knownLimit, error) {
	all := k.all()
	if found, ok := all.Load(l); ok {
		return found.(*knownLimit), nil
	}
	own, err := NewDefinition(l, config.Allowance{})
	if err != nil {
		return nil, err
	}
	found := &knownLimit{own: own, keep: longestFill(l), plans: make(map[string]Definition, len(l.Plans))}
	for name := range l.Plans {
		if found.plans[name], err = NewDefinition(l, config.Allowance{Plan: name}); err != nil {
			return nil, err
		}
	}
	if k.size.Add(1) > mostKnown { // most are of configs that were
		k.size.Store(1)
		all = &sync.Map{}
		k.of.Store(all)
	}
	all.Store(l, found)
	return found, nil
}

// definition is what the limit is for a caller. Errors are those of NewDefinition.
func (k *knownLimit) definition(l *config.Limit, a config.Allowance) (Definition, error) {
	if a.Own != (config.Numbers{}) {
		return NewDefinition(l, a)
	}
	if a.Plan != "" {
		if d, ok := k.plans[a.Plan]; ok {
			return d, nil
		}
	}
	return k.own, nil
}
