package rollout

import "time"

// Phase is what a rollout is doing.
type Phase string

// The phases. The weights move by themselves in Running and Returning alone.
const (
	// Running goes step by step, while the canary stands.
	Running Phase = "running"
	// Paused stays at its step, and is taken back if the canary does not stand.
	Paused Phase = "paused"
	// Returning goes back step by step.
	Returning Phase = "returning"
	// Aborted gives the canary nothing, until its config changes or somebody says so.
	Aborted Phase = "aborted"
	// Done has taken the last step, and watches no more.
	Done Phase = "done"
)

// State is where a rollout is, and all that its decisions need. It is a value: no
// function changes the one that it was given. The zero value is before the start.
type State struct {
	// Spec is what it goes by: that of the config, once that was reconciled with.
	Spec Spec `json:"spec"`

	Phase Phase `json:"phase"`
	// Step is the index of the step, and Share what the canary gets, in percent.
	Step  int `json:"step"`
	Share int `json:"share"`
	// StartedAt is when the rollout began, and At until when it was looked at.
	StartedAt time.Time `json:"startedAt"`
	At        time.Time `json:"at"`
	// Elapsed is the time of the step that counts towards the next one, and Watched
	// how long the canary was watched in it, paused or not.
	Elapsed time.Duration `json:"elapsed"`
	Watched time.Duration `json:"watched"`

	// Seen is what both sides did in the step.
	Seen Sides `json:"seen"`
	// Tail is how often requests of the step took longer than tolerated.
	Tail Tail `json:"tail"`
	// Base are the latencies of the stable side, of this step and fading ones of
	// those before.
	Base Histogram `json:"base"`
	// What was bet against the canary in the step.
	OverErrorRate Evidence   `json:"overErrorRate"`
	OverP99       Evidence   `json:"overP99"`
	Errors        Comparison `json:"errors"`
	Slowness      Comparison `json:"slowness"`

	// Waits is what a running rollout waits for, in words.
	Waits string `json:"waits,omitempty"`
	// History are the last decisions, the newest last.
	History []Event `json:"history"`
}

// Tail is the tail of both sides' latencies, beyond what is tolerated.
type Tail struct {
	// Over is what is tolerated: the stable side's p99, times the tolerance.
	Over time.Duration `json:"over"`
	// Canary of CanaryOf requests took longer than was tolerated when they ended;
	// likewise of the stable side.
	Canary   uint64 `json:"canary"`
	CanaryOf uint64 `json:"canaryOf"`
	Stable   uint64 `json:"stable"`
	StableOf uint64 `json:"stableOf"`
}

// Event is one decision.
type Event struct {
	At   time.Time `json:"at"`
	Kind Kind      `json:"kind"`
	// From and To are the canary's shares before and after, in percent.
	From int `json:"from"`
	To   int `json:"to"`
	// Why is the decision in words, with its numbers.
	Why string `json:"why"`
}

// Kind is which decision it was.
type Kind string

// The kinds of decisions.
const (
	Started   Kind = "started"
	Advanced  Kind = "advanced"
	Finished  Kind = "finished"
	TakenBack Kind = "taken-back" // it did not stand
	WentBack  Kind = "went-back"  // a step, after that
	Changed   Kind = "changed"    // by the config
	ByPause   Kind = "pause"
	ByResume  Kind = "resume"
	ByPromote Kind = "promote"
	ByAbort   Kind = "abort"
)

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{Started, Advanced, Finished, TakenBack, WentBack, Changed, ByPause, ByResume, ByPromote, ByAbort}
}

// keptEvents bounds State.History.
const keptEvents = 20

// moved is the state with another share, and the decision that made it so.
func (s State) moved(kind Kind, at time.Time, to int, why string) State {
	s.History = append(append([]Event(nil), s.History...), Event{At: at, Kind: kind, From: s.Share, To: to, Why: why})
	if n := len(s.History); n > keptEvents {
		s.History = s.History[n-keptEvents:]
	}
	s.Share = to
	return s
}

// atStep is the state at the beginning of a step, with nothing seen in it yet.
func (s State) atStep(step int) State {
	s.Step, s.Elapsed, s.Watched, s.Waits = step, 0, 0, ""
	s.Seen, s.Tail = Sides{}, Tail{}
	s.OverErrorRate, s.OverP99, s.Errors, s.Slowness = Evidence{}, Evidence{}, Comparison{}, Comparison{}
	s.Base.halve()
	return s
}

// last is the newest decision, or none.
func (s State) last() Event {
	if len(s.History) == 0 {
		return Event{}
	}
	return s.History[len(s.History)-1]
}

// newSince are the decisions that a state has and an older one has not.
func (s State) newSince(before State) []Event {
	known := before.last()
	for i := len(s.History) - 1; i >= 0; i-- {
		if s.History[i] == known {
			return s.History[i+1:]
		}
	}
	return s.History
}
