package main

import (
	"sync"
	"sync/atomic"

	"github.com/gatewright/gatewright/internal/plan"
	"github.com/gatewright/gatewright/xds"
)

// epochs are what Envoys that remember verdicts are told with each, by the policies'
// hashes (xds.Epochs), made when somebody asks, and anew when what they stand for has
// changed.
type epochs struct {
	making sync.Mutex
	made   atomic.Pointer[madeEpochs]
}

type madeEpochs struct {
	plan       *plan.Plan
	of         placedSeen
	generation uint64
	byPolicy   map[string]string
}

// epoch is that of a policy now, and which time it is that epochs have been made: two
// answers of the same generation say that nothing has changed between them. Empty: nothing
// is to be remembered, or it cannot be said at once what holds.
func (svc *service) epoch(policy string) (epoch string, generation uint64) {
	p := svc.plan.Load()
	if p == nil {
		return "", 0
	}
	now := svc.placedNow(p)
	if made := svc.epochs.made.Load(); made != nil && made.plan == p && made.of.equal(now) {
		return made.byPolicy[policy], made.generation
	}
	if !svc.epochs.making.TryLock() {
		return "", 0
	}
	defer svc.epochs.making.Unlock()
	made := &madeEpochs{plan: p, of: now, byPolicy: xds.Epochs(p.Placed(), svc.placedState(p)), generation: 1}
	if before := svc.epochs.made.Load(); before != nil {
		made.generation = before.generation + 1
	}
	if !svc.placedNow(p).equal(now) {
		return "", 0 // of which of the two they are is not known
	}
	svc.epochs.made.Store(made)
	return made.byPolicy[policy], made.generation
}
