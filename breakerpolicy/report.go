package breakerpolicy

// State is what a breaker does with requests.
type State string

const (
	// StateClosed lets them pass, and looks at how they end.
	StateClosed State = "closed"
	// StateOpen lets none pass.
	StateOpen State = "open"
	// StateHalfOpen lets one probe out at a time.
	StateHalfOpen State = "half-open"
)

// Force is what an operator has done to a breaker.
type Force string

const (
	// Auto is nothing: it opens and closes by itself.
	Auto Force = "auto"
	// ForceOpen keeps it open, and ForceClosed closed, until it is set to Auto.
	ForceOpen   Force = "open"
	ForceClosed Force = "closed"
)

// report is what an instance tells of a breaker, and what it asks for. It is the
// argument of breaker.lua, as JSON.
type report struct {
	Rules rules `json:"rules"`
	// Random is from 0 to a million; the machine has no dice of its own.
	Random int64 `json:"random"`
	// Offer is the breaker as the instance knows it, for a store that knows less.
	Offer offer `json:"offer"`
	// Counts are what has ended since the last report, of requests of generation
	// Gen. Their times are how many milliseconds ago.
	Gen    int64  `json:"gen"`
	Counts window `json:"counts,omitempty"`
	// Results are what has become of probes, whosever they are.
	Results []result `json:"results,omitempty"`
	// Claim says whether the instance would take a probe.
	Claim claim `json:"claim"`
	// ID is what the probe shall be called, if it is given one.
	ID string `json:"id"`
	// Held is the probe that it has been given and that no request has taken yet,
	// and Out the one that a request has taken.
	Held string `json:"held,omitempty"`
	Out  string `json:"out,omitempty"`
	// Back is a probe that it gives back unused.
	Back string `json:"back,omitempty"`
	// Force is what an operator asks for here: "" nothing.
	Force Force `json:"force,omitempty"`
}

// claim is how much an instance wants a probe.
type claim int

const (
	unready claim = iota // it takes none: it is being closed
	ready                // it would take one
	wanting              // it has denied a request for want of one
)

// offer is a breaker as an instance knows it. Times are relative, since its clock is
// not the store's.
type offer struct {
	Gen      int64  `json:"gen"`
	State    State  `json:"state"`
	Forced   Force  `json:"forced,omitempty"`
	Age      int64  `json:"age"` // since the last transition
	In       int64  `json:"in"`  // until it may be probed
	Trips    int64  `json:"trips"`
	Streak   int64  `json:"streak"`
	Reopened bool   `json:"reopened,omitempty"`
	Tripped  tally  `json:"tripped"`
	Probe    string `json:"probe,omitempty"`
	By       string `json:"by,omitempty"`
	ProbeIn  int64  `json:"probeIn,omitempty"` // until its lease ends
	// Told: the store itself has said so. Otherwise the last transition was made
	// by the instance alone.
	Told bool `json:"told,omitempty"`
}

// verdict is what has become of a probe.
type verdict string

const (
	succeeded verdict = "ok"
	failed    verdict = "failed"
	// void: it tells nothing. The client has left, or the request was denied.
	void verdict = "void"
)

// result is the verdict on a probe.
type result struct {
	ID      string  `json:"id"`
	Verdict verdict `json:"verdict"`
}

// reply is the answer to a report: the breaker as it is now. Times are relative, in
// milliseconds.
type reply struct {
	offer
	// Now counts the requests in the window.
	Now tally `json:"now"`
	// Granted is the probe that the instance has and no request has taken yet, so
	// far as the store knows; empty where it has none.
	Granted string `json:"granted,omitempty"`
	// Yield: another instance wants the probe that this one holds.
	Yield bool `json:"yield,omitempty"`
	// Made is the transition that the report has made. Nil: it made none.
	Made *transition `json:"made,omitempty"`
}

// transition is one change of a breaker's state, with the numbers that led to it.
type transition struct {
	Gen    int64  `json:"gen"`
	From   State  `json:"from"`
	To     State  `json:"to"`
	Why    reason `json:"why"`
	Counts tally  `json:"counts"`  // of the window, where that opened it
	Open   int64  `json:"openFor"` // how long it is open, if it is
	Trips  int64  `json:"trips"`   // how many times it has opened without closing
}

// reason is why a breaker has changed its state.
type reason string

const (
	tooManyFailures reason = "too-many-failures"
	timeOver        reason = "open-time-over"
	probeFailed     reason = "probe-failed"
	probesSucceeded reason = "probes-succeeded"
	byOperator      reason = "operator"
)
