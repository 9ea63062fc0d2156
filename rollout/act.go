package rollout

import (
	"errors"
	"fmt"
	"time"
)

// Action is what an operator can do to a rollout.
type Action string

// The actions.
const (
	// Pause stays at the step. The canary is still watched, and taken back if it
	// does not stand.
	Pause Action = "pause"
	// Resume goes on after a pause, and begins anew after an abort.
	Resume Action = "resume"
	// Promote takes the last step at once, and watches no more.
	Promote Action = "promote"
	// Abort takes the canary's whole share away at once.
	Abort Action = "abort"
)

// Actions are all of them.
func Actions() []Action { return []Action{Pause, Resume, Promote, Abort} }

// ErrConflict is an action that the phase of a rollout does not allow.
var ErrConflict = errors.New("not now")

// Act is the state after an action; by says whose, and why, in words. The error is
// ErrConflict, wrapped.
func Act(s State, a Action, now time.Time, by string) (State, error) {
	spec := s.Spec
	switch {
	case a == Pause && s.Phase == Running:
		s = s.moved(ByPause, now, s.Share, by)
		s.Phase, s.Waits = Paused, ""
		return s, nil
	case a == Resume && s.Phase == Paused:
		s = s.moved(ByResume, now, s.Share, by)
		s.Phase = Running
		return s, nil
	case a == Resume && (s.Phase == Aborted || s.Phase == Returning):
		return begin(spec, s, now, ByResume, by), nil
	case a == Promote && s.Phase != Done:
		s = s.moved(ByPromote, now, spec.Steps[spec.last()], by).atStep(spec.last())
		s.Phase = Done
		return s, nil
	case a == Abort && s.Phase != Aborted:
		return s.takeBack(now, ByAbort, by, 0), nil
	}
	return s, fmt.Errorf("%w: %s a rollout that is %s", ErrConflict, a, s.Phase)
}

// begin is the state at the first step, with the history of the one before it.
func begin(spec Spec, before State, now time.Time, kind Kind, why string) State {
	s := State{
		Spec: spec, Phase: Running,
		StartedAt: now, At: now, History: before.History, Share: before.Share,
	}
	return s.moved(kind, now, spec.Steps[0], why)
}

// Reconcile is the state by what the config says now, and whether it is another.
//
// What is rolled out being another, or the terms of a rollout that was taken back,
// begins anew. Other terms of one that runs go on from the last step that does not
// give the canary more than it has; what was seen by the old terms is forgotten.
// What is done stays done, at the new last step.
func Reconcile(spec Spec, s State, now time.Time) (State, bool) {
	switch {
	case s.Phase == "":
		return begin(spec, s, now, Started, "the config has a rollout of "+spec.described()), true
	case s.Spec.equal(spec):
		return s, false
	case !s.Spec.sameSubject(spec):
		return begin(spec, s, now, Started, "the config has a rollout of "+spec.described()), true
	case s.Phase == Aborted || s.Phase == Returning:
		return begin(spec, s, now, Changed, "the config of the rollout has changed: it begins anew"), true
	}
	step := spec.stepUpTo(s.Share)
	if s.Phase == Done {
		step = spec.last()
	}
	s = s.moved(Changed, now, spec.Steps[step], fmt.Sprintf("the config of the rollout has changed: it is at step %d of %d", step+1, len(spec.Steps))).atStep(step)
	s.Spec = spec
	return s, true
}
