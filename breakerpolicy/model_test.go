package breakerpolicy

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/internal/testenv"
)

// fleetModel is a fleet on one breaker as a plain reading of the rules says it: all
// that has ended, one by one, and who has which probe. It knows no slots, no
// messages and no JSON.
type fleetModel struct {
	*stage
	rules rules

	state State
	gen   int64
	since int64
	until int64
	trips int64
	row   int64
	ended []ending
	out   map[string]*given // the probes that some instance believes in
	last  string            // the probe that was given out last
}

// ending is a request that has ended.
type ending struct {
	at     int64
	failed bool
}

// given is a probe as its instance sees it.
type given struct {
	by    string
	taken bool
	ends  int64 // from then on it is nobody's
	over  bool  // its verdict was reported, or it was given back
}

// counted is what the window holds: of whole slots.
func (f *fleetModel) counted() (t tally) {
	for _, e := range f.ended {
		if begin := e.at - e.at%f.rules.Slot; begin+f.rules.Slot > f.clock-f.rules.Window {
			t.Total++
			if e.failed {
				t.Failed++
			}
		}
	}
	return t
}

// live are the probes that may be at the backend or are held.
func (f *fleetModel) live() (n int) {
	for _, g := range f.out {
		if !g.over && f.clock < g.ends {
			n++
		}
	}
	return n
}

func (f *fleetModel) turned(to State) {
	f.state, f.gen, f.since, f.row = to, f.gen+1, f.clock, 0
	f.ended = nil
}

// openFor is the time that the rules give for so many openings, as a plain power.
func (f *fleetModel) openFor() int64 {
	open := f.rules.Open
	for range f.trips - 1 {
		open = min(open*f.rules.Growth/1000, f.rules.Longest)
	}
	return open
}

// end reports requests of a generation that have ended.
func (f *fleetModel) end(r *rapid.T) {
	by := f.instance(r)
	total := rapid.Int64Range(1, 30).Draw(r, "requests")
	failed := rapid.Int64Range(0, total).Draw(r, "failed")
	gen := f.gen - rapid.SampledFrom([]int64{0, 0, 0, 1, -1}).Draw(r, "generations ago")
	a := f.tell(by, report{Gen: gen, Counts: window{{0, total, failed}}})
	if f.state == StateClosed && gen == f.gen {
		for i := range total {
			f.ended = append(f.ended, ending{f.clock, i < failed})
		}
		if t := f.counted(); t.Total >= f.rules.Least && float64(t.Failed) > float64(t.Total)*float64(f.rules.Rate)/million {
			f.trips = 1
			f.turned(StateOpen)
			f.until = f.clock + f.openFor()
		}
	}
	f.check(r, a)
}

// tell has an instance report, with the probes that it knows of.
func (f *fleetModel) tell(by string, r report) reply {
	for id, g := range f.out {
		switch {
		case g.by != by || g.over || f.clock >= g.ends || id == r.Back:
		case g.taken:
			r.Out = id
		default:
			r.Held = id
		}
	}
	a := f.say(by, r)
	if g := f.out[r.Held]; g != nil && a.Granted == r.Held {
		g.ends = f.clock + holdFor + f.rules.Lease
	}
	return a
}

// claim has an instance ask for a probe.
func (f *fleetModel) claim(r *rapid.T) {
	by := f.instance(r)
	before := f.live()
	a := f.tell(by, report{Claim: rapid.SampledFrom([]claim{ready, wanting}).Draw(r, "claim")})
	if f.state == StateOpen && f.clock >= f.until {
		f.turned(StateHalfOpen)
		before = 0
	}
	switch {
	case a.Granted == "":
	case f.state != StateHalfOpen:
		r.Fatalf("a probe was given out while %s", f.state)
	case f.out[a.Granted] != nil: // it holds it already
	case before > 0:
		r.Fatalf("%s was given a probe while one was out: %+v", by, f.out)
	default:
		f.out[a.Granted] = &given{by: by, ends: f.clock + holdFor + f.rules.Lease}
		f.last = a.Granted
	}
	f.check(r, a)
}

// take has a request take the probe that its instance holds.
func (f *fleetModel) take(r *rapid.T) {
	for _, g := range f.out {
		if !g.over && f.clock < g.ends-f.rules.Lease {
			g.taken = true
		}
	}
}

// conclude reports on some probe, of now or of before, by whichever instance hears
// of its end.
func (f *fleetModel) conclude(r *rapid.T) {
	if len(f.out) == 0 {
		return
	}
	ids := make([]string, 0, len(f.out))
	for id := range f.out {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	id := rapid.SampledFrom(append(ids, f.last, f.last)).Draw(r, "probe")
	v := rapid.SampledFrom([]verdict{succeeded, succeeded, failed, void}).Draw(r, "verdict")
	a := f.tell(f.instance(r), report{Results: []result{{id, v}}})
	// A verdict counts that comes after the lease, as long as no other probe is out.
	if g := f.out[id]; f.state == StateHalfOpen && !g.over && id == f.last {
		switch v {
		case failed:
			f.trips++
			f.turned(StateOpen)
			f.until = f.clock + f.openFor()
		case succeeded:
			f.row++
			if f.row == f.rules.Probes {
				f.turned(StateClosed)
				f.trips = 0
			}
		}
		if f.state != StateHalfOpen {
			for _, g := range f.out {
				g.over = true
			}
		}
	}
	f.out[id].over = true
	f.check(r, a)
}

// back gives a probe back that no request has taken.
func (f *fleetModel) back(r *rapid.T) {
	for id, g := range f.out {
		if !g.taken && !g.over && f.clock < g.ends {
			g.over = true
			f.check(r, f.tell(g.by, report{Back: id}))
			return
		}
	}
}

func (f *fleetModel) wait(r *rapid.T) {
	f.clock += rapid.OneOf(rapid.Int64Range(0, 1000), rapid.Int64Range(0, 40_000)).Draw(r, "milliseconds")
}

func (f *fleetModel) instance(r *rapid.T) string {
	return rapid.SampledFrom([]string{"A", "B", "C"}).Draw(r, "instance")
}

// check holds a reply beside the model.
func (f *fleetModel) check(r *rapid.T, a reply) {
	if a.State != f.state || a.Gen != f.gen {
		r.Fatalf("%s in generation %d, want %s in %d", a.State, a.Gen, f.state, f.gen)
	}
	if want := max(f.until-f.clock, 0); f.state == StateOpen && a.In != want {
		r.Fatalf("open for %d more, want %d", a.In, want)
	}
	if want := f.counted(); f.state == StateClosed && a.Now != want {
		r.Fatalf("counted %+v, want %+v", a.Now, want)
	}
	if n := f.live(); n > 1 {
		r.Fatalf("%d probes are out: %+v", n, f.out)
	}
}

// TestMachineIsTheModel holds the machine to the rules over any sequence of what
// three instances do.
func TestMachineIsTheModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := &fleetModel{stage: stageInMemory(t), state: StateClosed, out: map[string]*given{}}
		f.stage.rules.Probes = rapid.Int64Range(1, 3).Draw(r, "probes")
		f.stage.rules.Growth = rapid.Int64Range(1000, 3000).Draw(r, "growth")
		f.stage.rules.Longest = 100_000
		f.stage.rules.Rate = rapid.Int64Range(0, million-1).Draw(r, "rate")
		f.rules = f.stage.rules
		r.Repeat(map[string]func(*rapid.T){
			"end": f.end, "claim": f.claim, "take": f.take, "conclude": f.conclude, "back": f.back, "wait": f.wait,
		})
	})
}

// anyReport is a report of any content, sensible or not.
func anyReport(r *rapid.T, gen int64, ids []string) report {
	id := func(label string) string { return rapid.SampledFrom(ids).Draw(r, label) }
	out := report{
		Gen:    gen,
		Random: rapid.Int64Range(0, million).Draw(r, "random"),
		Claim:  rapid.SampledFrom([]claim{unready, ready, wanting}).Draw(r, "claim"),
		Held:   id("held"), Out: id("out"), Back: id("back"),
		Force: rapid.SampledFrom([]Force{"", "", "", "", "", Auto, ForceOpen, ForceClosed}).Draw(r, "force"),
		Offer: offer{
			Gen:   gen + rapid.Int64Range(-2, 1).Draw(r, "offered generation"),
			State: rapid.SampledFrom([]State{StateClosed, StateOpen, StateHalfOpen}).Draw(r, "offered state"),
			Age:   rapid.Int64Range(0, 100_000).Draw(r, "age"), In: rapid.Int64Range(0, 50_000).Draw(r, "in"),
			Trips: rapid.Int64Range(0, 3).Draw(r, "trips"), Reopened: rapid.Bool().Draw(r, "reopened"),
			Told: rapid.Bool().Draw(r, "told"), Probe: id("offered probe"), By: "B", ProbeIn: 700,
			Forced: rapid.SampledFrom([]Force{"", "", ForceOpen}).Draw(r, "forced"),
		},
	}
	for range rapid.IntRange(0, 3).Draw(r, "slots") {
		total := rapid.Int64Range(1, 40).Draw(r, "requests")
		out.Counts = append(out.Counts, slot{rapid.Int64Range(0, 12_000).Draw(r, "ago"), total, rapid.Int64Range(0, total).Draw(r, "failed")})
	}
	if probe := id("probe"); probe != "" {
		out.Results = []result{{probe, rapid.SampledFrom([]verdict{succeeded, failed, void}).Draw(r, "verdict")}}
	}
	return out
}

// TestRedisIsTheMachine gives the script and the machine in Go the same reports, on
// clocks that leap and are set back: they answer the same, and keep the same.
func TestRedisIsTheMachine(t *testing.T) {
	client := testenv.StartRedis(t).Client
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		inMemory, inRedis := stageInMemory(t), stageInRedis(t, client, fmt.Sprint("b", n))
		inMemory.rules = rules{
			Rate: rapid.Int64Range(0, million-1).Draw(r, "rate"), Least: 5, Window: 7000, Slot: 350,
			Open: rapid.Int64Range(100, 9999).Draw(r, "open"), Growth: rapid.Int64Range(1000, 10_000).Draw(r, "growth"), Longest: 54_321,
			Jitter: rapid.Int64Range(0, 1000).Draw(r, "jitter"), Probes: rapid.Int64Range(1, 3).Draw(r, "probes"), Lease: 1234,
		}
		inRedis.rules = inMemory.rules
		ids := []string{"", ""}
		for range rapid.IntRange(1, 40).Draw(r, "reports") {
			inMemory.clock += rapid.SampledFrom([]int64{0, 1, 50, 400, 501, 1000, 3001, 9000, -20, -5000}).Draw(r, "passes")
			inRedis.clock = inMemory.clock
			by := rapid.SampledFrom([]string{"A", "B"}).Draw(r, "instance")
			report := anyReport(r, inMemory.gen+rapid.SampledFrom([]int64{0, 0, 0, -1}).Draw(r, "old"), ids)
			want, got := inMemory.say(by, report), inRedis.say(by, report)
			if want.Made != nil && got.Made != nil && *want.Made == *got.Made {
				want.Made, got.Made = nil, nil
			}
			if got != want {
				r.Fatalf("%s reports %+v: Redis says %+v, want %+v", by, report, got, want)
			}
			if want.Probe != "" && !slices.Contains(ids, want.Probe) {
				ids = append(ids, want.Probe)
			}
		}
		want, got := inMemory.kept(), inRedis.kept()
		if fmt.Sprintf("%+v", noProbe(want)) != fmt.Sprintf("%+v", noProbe(got)) {
			r.Fatalf("Redis keeps %+v, want %+v", got, want)
		}
	})
}

// noProbe shows the machine's probe by value.
func noProbe(m machine) [2]any {
	p := m.Probe
	m.Probe = nil
	if p == nil {
		return [2]any{m, nil}
	}
	return [2]any{m, *p}
}
