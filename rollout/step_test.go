package rollout

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// counts are requests, of which some failed and all took as long.
func counts(requests, failed uint64, took time.Duration, bound time.Duration) Counts {
	c := Counts{Requests: requests, Failed: failed}
	c.Latency[bucketOf(took)] = requests
	if bound > 0 && took > bound {
		c.Slow = requests
	}
	return c
}

func fine(spec Spec, canary, stable uint64) Sides {
	return Sides{counts(canary, 0, 20*time.Millisecond, spec.P99), counts(stable, 0, 20*time.Millisecond, spec.P99)}
}

// story is a rollout that is followed by hand.
type story struct {
	t    *testing.T
	spec Spec
	s    State
	now  time.Time
}

func begun(t *testing.T, spec Spec) *story {
	s, changed := Reconcile(spec, State{}, noon)
	if !changed || s.Phase != Running || s.Share != spec.Steps[0] {
		t.Fatalf("it begins as %+v", s)
	}
	return &story{t, spec, s, noon}
}

func (y *story) after(d time.Duration, seen Sides) {
	y.now = y.now.Add(d)
	y.s = Step(y.s, y.now, seen)
}

func (y *story) act(a Action) error {
	next, err := Act(y.s, a, y.now, "by the test")
	y.s = next
	return err
}

func (y *story) is(phase Phase, share int, says ...string) {
	y.t.Helper()
	text := y.s.last().Why + " | " + y.s.Waits
	if y.s.Phase != phase || y.s.Share != share {
		y.t.Fatalf("it is %s at %d %%, want %s at %d %%: %s", y.s.Phase, y.s.Share, phase, share, text)
	}
	for _, part := range says {
		if !strings.Contains(text, part) {
			y.t.Errorf("it says %q, want %q in it", text, part)
		}
	}
}

// TestAHealthyRollout takes each step when its time is over, and not before, nor
// with too few requests.
func TestAHealthyRollout(t *testing.T) {
	t.Parallel()
	y := begun(t, demo())
	y.after(10*time.Second, fine(y.spec, 30, 570))
	y.is(Running, 5, "the end of the step, in 20s", "30 of at least 50")
	y.after(10*time.Second, fine(y.spec, 19, 0))
	y.after(10*time.Second, fine(y.spec, 0, 0))
	y.is(Running, 5, "49 of at least 50")
	y.after(time.Second, fine(y.spec, 1, 0))
	y.is(Running, 25, "it stood for 31s at 5 %: v2 failed 0 of 50 requests (0 %), p99 21ms", "the stable side failed 0 of 570 requests")
	for _, share := range []int{50, 100} {
		for range 3 {
			y.after(10*time.Second, fine(y.spec, 100, 100))
		}
		y.is(Running, share)
	}
	for range 3 {
		y.after(10*time.Second, fine(y.spec, 100, 0))
	}
	y.is(Done, 100, "it stood for 30s at 100 %")
	y.after(time.Hour, Sides{counts(1000, 1000, time.Second, y.spec.P99), Counts{}})
	y.is(Done, 100)
}

// TestTakenBack: for each reason, with its numbers, and at once.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	const quick, slow = 20 * time.Millisecond, 900 * time.Millisecond
	compared := demo()
	compared.ErrorRate, compared.P99 = 0, 0
	for what, c := range map[string]struct {
		spec           Spec
		canary, stable Counts
		says           string
	}{
		"its error rate is over the bound, as the others'":  {demo(), counts(100, 20, quick, 0), counts(1000, 200, quick, 0), "it failed 20 of 100 requests (20 %), and at most 2 % may"},
		"its p99 is over the bound, as the others'":         {demo(), counts(100, 0, slow, 800*time.Millisecond), counts(1000, 0, slow, 0), "100 of its 100 requests (100 %) took longer than 800ms"},
		"more errors than the others, and no bound":         {compared, counts(100, 10, quick, 0), counts(1900, 2, quick, 0), "it failed 10 of 100 requests (10 %), while the stable side failed 2 of 2900 requests (0.069 %); the chance of that is below 1 in"},
		"slower than the others were before, and no bound.": {compared, counts(100, 0, 40*time.Millisecond, 0), counts(1900, 0, quick, 0), "100 of its 100 requests (100 %) took longer than"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			y := begun(t, c.spec)
			y.after(time.Second, fine(c.spec, 0, 1000)) // how long the others take
			y.after(time.Second, Sides{c.canary, c.stable})
			y.is(Aborted, 0, c.says)
			for range 100 {
				y.after(10*time.Second, fine(c.spec, 100, 1000))
			}
			y.is(Aborted, 0)
		})
	}
}

// TestNotTakenBack: what is no fault of the canary, or not known to be.
func TestNotTakenBack(t *testing.T) {
	t.Parallel()
	const quick = 20 * time.Millisecond
	compared := demo()
	compared.ErrorRate, compared.P99 = 0, 0
	for what, c := range map[string]struct {
		spec           Spec
		canary, stable Counts
	}{
		"an outage of both":                {compared, counts(100, 100, time.Second, 0), counts(1900, 1900, time.Second, 0)},
		"too few requests":                 {demo(), counts(49, 49, quick, 0), counts(1000, 0, quick, 0)},
		"by 4 ms":                          {compared, counts(100, 0, 23*time.Millisecond, 0), counts(1900, 0, quick, 0)},
		"within the tolerance":             {compared, counts(1000, 110, quick, 0), counts(1000, 100, quick, 0)},
		"one error":                        {demo(), counts(60, 1, quick, 0), counts(1000, 0, quick, 0)},
		"nobody to compare with, no bound": {compared, counts(1000, 900, quick, 0), Counts{}},
	} {
		y := begun(t, c.spec)
		y.t.Log(what)
		y.after(time.Second, fine(c.spec, 0, 1000))
		y.after(time.Second, Sides{c.canary, c.stable})
		y.is(Running, 5)
	}
}

// TestInDoubt: what is over a bound by chance as likely as not stays, and goes on
// when it is no more.
func TestInDoubt(t *testing.T) {
	t.Parallel()
	y := begun(t, demo())
	for range 3 {
		y.after(10*time.Second, Sides{counts(20, 1, 20*time.Millisecond, y.spec.P99), counts(380, 19, 20*time.Millisecond, y.spec.P99)})
	}
	y.is(Running, 5, "certainty: it failed 3 of 60 requests (5 %), and at most 2 % may")
	y.after(10*time.Second, fine(y.spec, 100, 1900))
	y.is(Running, 25)
}

// TestGradually: with backEvery, a step at a time.
func TestGradually(t *testing.T) {
	t.Parallel()
	spec := demo()
	spec.BackEvery = 10 * time.Second
	y := begun(t, spec)
	for range 6 {
		y.after(10*time.Second, fine(y.spec, 100, 1900))
	}
	y.is(Running, 50)
	bad := Sides{counts(100, 50, 20*time.Millisecond, 0), counts(100, 0, 20*time.Millisecond, 0)}
	y.after(time.Second, bad)
	y.is(Returning, 25, "it failed 50 of 100")
	y.after(9*time.Second, bad)
	y.is(Returning, 25)
	y.after(time.Second, bad)
	y.is(Returning, 5)
	y.after(10*time.Second, fine(y.spec, 100, 100))
	y.is(Aborted, 0)
	if kinds := []Kind{Started, Advanced, Advanced, TakenBack, WentBack, WentBack}; !slices.EqualFunc(y.s.History, kinds, func(e Event, k Kind) bool { return e.Kind == k }) {
		t.Errorf("its history is %+v", y.s.History)
	}
}

// TestOperators: what each action does in each phase.
func TestOperators(t *testing.T) {
	t.Parallel()
	y := begun(t, demo())
	if err := y.act(Pause); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		y.after(10*time.Second, fine(y.spec, 100, 1900))
	}
	y.is(Paused, 5, "by the test")
	if err := y.act(Pause); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "pause a rollout that is paused") {
		t.Errorf("a second pause: %v", err)
	}
	if err := y.act(Resume); err != nil {
		t.Fatal(err)
	}
	y.after(10*time.Second, fine(y.spec, 100, 1900))
	y.is(Running, 5, "in 20s") // the pause has not counted
	if err := y.act(Abort); err != nil {
		t.Fatal(err)
	}
	y.is(Aborted, 0)
	if err := y.act(Resume); err != nil {
		t.Fatal(err)
	}
	y.is(Running, 5)
	if y.s.Seen != (Sides{}) {
		t.Error("what was seen before the abort counts")
	}
	if err := y.act(Promote); err != nil {
		t.Fatal(err)
	}
	y.is(Done, 100)
	for _, a := range []Action{Pause, Resume, Promote} {
		if err := y.act(a); !errors.Is(err, ErrConflict) {
			t.Errorf("%s when it is done: %v", a, err)
		}
	}
	// A paused canary is watched all the same.
	y = begun(t, demo())
	if err := y.act(Pause); err != nil {
		t.Fatal(err)
	}
	y.after(time.Second, Sides{counts(100, 50, 20*time.Millisecond, 0), counts(1900, 0, 20*time.Millisecond, 0)})
	y.is(Aborted, 0)
}

// TestChangedConfig: what goes on, what begins anew, and what stays.
func TestChangedConfig(t *testing.T) {
	t.Parallel()
	changed := func(change func(*Spec)) Spec {
		spec := demo()
		change(&spec)
		return spec
	}
	other := changed(func(s *Spec) { s.Steps = []int{10, 30, 60} })
	again := changed(func(s *Spec) { s.Release = "2.1" })
	stricter := changed(func(s *Spec) { s.ErrorRate = 0.01 })
	at := func(phase Phase, step int) State {
		s := begun(t, demo()).s
		s.Phase, s.Step, s.Share, s.Seen = phase, step, demo().Steps[step], fine(demo(), 10, 10)
		if phase == Aborted {
			s.Share = 0
		}
		return s
	}
	for what, c := range map[string]struct {
		from  State
		to    Spec
		phase Phase
		share int
		fresh bool
	}{
		"nothing":                               {at(Running, 2), demo(), Running, 50, false},
		"nothing, after an abort":               {at(Aborted, 2), demo(), Aborted, 0, false},
		"other steps":                           {at(Running, 2), other, Running, 30, true},
		"other steps while it is paused":        {at(Paused, 1), other, Paused, 10, true},
		"other steps, none as low":              {at(Running, 0), other, Running, 10, true},
		"stricter":                              {at(Running, 2), stricter, Running, 50, true},
		"other steps after an abort":            {at(Aborted, 2), other, Running, 10, true},
		"stricter, on the way back":             {at(Returning, 1), stricter, Running, 5, true},
		"other steps when it is done":           {at(Done, 3), other, Done, 60, true},
		"another release while it runs":         {at(Running, 2), again, Running, 5, true},
		"another release when the last is done": {at(Done, 3), again, Running, 5, true},
	} {
		got, changed := Reconcile(c.to, c.from, noon.Add(time.Hour))
		if got.Phase != c.phase || got.Share != c.share || changed != c.fresh || (got.Seen == Sides{}) != c.fresh {
			t.Errorf("%s: %s at %d %%, changed %t, with %d requests seen; want %s at %d %%", what, got.Phase, got.Share, changed, got.Seen.Canary.Requests, c.phase, c.share)
		}
		if again, changed := Reconcile(c.to, got, noon); changed || !reflect.DeepEqual(again, got) {
			t.Errorf("%s: a second look changes it", what)
		}
	}
}

// TestMachine: whatever is seen, done and configured in whatever order, the rules
// of the machine hold.
func TestMachine(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		spec := drawSpec(t)
		now := noon
		s, _ := Reconcile(spec, State{}, now)
		for range rapid.IntRange(1, 60).Draw(t, "moves") {
			before := s
			kept := deepCopy(t, before)
			what := rapid.SampledFrom([]string{"look", "look", "look", "look", "act", "config"}).Draw(t, "move")
			switch what {
			case "look":
				now = now.Add(time.Duration(rapid.Int64Range(-int64(time.Second), int64(20*time.Second)).Draw(t, "passed")))
				n := uint64(rapid.IntRange(0, 300).Draw(t, "canary"))
				m := uint64(rapid.IntRange(0, 300).Draw(t, "stable"))
				seen := Sides{
					counts(n, uint64(float64(n)*rapid.SampledFrom([]float64{0, 0, 0, 0.01, 0.5}).Draw(t, "errors")), rapid.SampledFrom([]time.Duration{20 * time.Millisecond, time.Second}).Draw(t, "took"), spec.P99),
					counts(m, 0, 20*time.Millisecond, spec.P99),
				}
				s = Step(s, now, seen)
				checkLook(t, spec, before, s, seen)
			case "act":
				a := rapid.SampledFrom(Actions()).Draw(t, "action")
				next, err := Act(s, a, now, "me")
				if err != nil && !reflect.DeepEqual(next, s) {
					t.Fatalf("%s was refused (%v) and done", a, err)
				}
				s = next
			case "config":
				spec = drawSpec(t)
				s, _ = Reconcile(spec, s, now)
				if s.Share > before.Share && s.Share != spec.Steps[0] && before.Phase != Done {
					t.Fatalf("a change of the config raised the share from %d to %d", before.Share, s.Share)
				}
			}
			if !reflect.DeepEqual(before, kept) {
				t.Fatalf("%s changed the state that it was given", what)
			}
			checkState(t, spec, s)
		}
	})
}

func drawSpec(t *rapid.T) Spec {
	spec := demo()
	spec.Steps = rapid.SampledFrom([][]int{{5, 25, 50, 100}, {10}, {1, 100}, {50, 60, 70}}).Draw(t, "steps")
	spec.BackEvery = rapid.SampledFrom([]time.Duration{0, 10 * time.Second}).Draw(t, "backEvery")
	spec.Release = rapid.SampledFrom([]string{"", "", "", "2"}).Draw(t, "release")
	spec.ErrorRate = rapid.SampledFrom([]float64{0, 0.02}).Draw(t, "errorRate")
	return spec
}

// checkLook holds what one look may change.
func checkLook(t *rapid.T, spec Spec, before, s State, seen Sides) {
	switch {
	case s.Share > before.Share:
		if before.Phase != Running || s.Step != before.Step+1 {
			t.Fatalf("from %s at step %d to step %d", before.Phase, before.Step, s.Step)
		}
		if before.Elapsed+maxGap < spec.Every || before.Seen.Canary.Requests+seen.Canary.Requests < spec.MinRequests {
			t.Fatalf("after %s and %d requests it was taken on", before.Elapsed, before.Seen.Canary.Requests)
		}
	case s.Share < before.Share && before.Phase != Returning:
		if before.Seen.Canary.Requests+seen.Canary.Requests < spec.MinRequests {
			t.Fatalf("it was taken back after %d requests", before.Seen.Canary.Requests)
		}
	}
	if (before.Phase == Aborted || before.Phase == Done) && (s.Share != before.Share || s.Phase != before.Phase) {
		t.Fatalf("from %s at %d %% to %s at %d %% by itself", before.Phase, before.Share, s.Phase, s.Share)
	}
	if s.Share != before.Share && len(s.newSince(before)) == 0 {
		t.Fatal("the share has moved, and nobody has said why")
	}
}

// checkState holds what is always so.
func checkState(t *rapid.T, spec Spec, s State) {
	switch s.Phase {
	case Aborted:
		if s.Share != 0 {
			t.Fatalf("aborted at %d %%", s.Share)
		}
	case Running, Paused, Returning, Done:
		if s.Share != spec.Steps[s.Step] {
			t.Fatalf("%s at %d %%, in step %d of %v", s.Phase, s.Share, s.Step, spec.Steps)
		}
	default:
		t.Fatalf("phase %q", s.Phase)
	}
	if len(s.History) == 0 || len(s.History) > keptEvents || s.last().To != s.Share || s.last().Why == "" {
		t.Fatalf("the last of %d decisions is %+v, and the share %d %%", len(s.History), s.last(), s.Share)
	}
	if !s.Spec.equal(spec) {
		t.Fatal("it is of other terms than the config's")
	}
	for _, e := range []Evidence{s.OverErrorRate, s.OverP99, s.Errors.AtAll, s.Errors.Beyond, s.Slowness.AtAll, s.Slowness.Beyond} {
		if v := e.Score(); v < 0 || v > most || v != v {
			t.Fatalf("a score of %g", v)
		}
	}
}

func deepCopy(t *rapid.T, s State) State {
	s.History = slices.Clone(s.History)
	return s
}
