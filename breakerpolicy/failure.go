package breakerpolicy

import (
	"slices"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/outcome"
)

// failures judges how requests have ended by what a config says of it, which is
// worked out once.
type failures struct {
	statuses  []config.StatusRange
	grpcCodes []int
	flags     outcome.Flags // those that are failures
	slower    time.Duration // 0: none is too slow
}

func failuresOf(f *config.BreakerFailures) failures {
	judged := failures{statuses: f.Statuses(), grpcCodes: f.GRPCCodes(), slower: time.Duration(f.SlowerThan)}
	if f.ConnectFailures() {
		judged.flags |= outcome.ConnectFailure | outcome.NoHealthy
	}
	if f.Resets() {
		judged.flags |= outcome.Reset
	}
	if f.Timeouts() {
		judged.flags |= outcome.Timeout
	}
	return judged
}

// faults are the flags that say how Envoy's attempt at the backend failed. The
// status that a client got with one of them is Envoy's own.
const faults = outcome.ConnectFailure | outcome.NoHealthy | outcome.Reset | outcome.Timeout

// judge tells what an outcome says of its backend. void: nothing.
func (f *failures) judge(o *outcome.Outcome) verdict {
	if !o.BackendAnswers() {
		return void
	}
	if f.slower > 0 && o.FirstByte > f.slower {
		return failed
	}
	// What a client that left has broken off may look like a fault of the backend.
	if fault := o.Flags & faults; fault != 0 && !o.Flags.Has(outcome.ClientGone) {
		if fault.Has(f.flags) {
			return failed
		}
		return void // a fault that is said not to count says nothing else either
	}
	if o.GRPCStatus != outcome.GRPCUnknown {
		if slices.Contains(f.grpcCodes, o.GRPCStatus) {
			return failed
		}
	}
	for _, r := range f.statuses {
		if r.Has(o.Status) {
			return failed
		}
	}
	return succeeded
}
