package rollout

import (
	"context"
	"time"
)

// record is a state as it is kept, where all instances can find it.
type record struct {
	// Generation rises with each change: of two records of a rollout, the one with the
	// higher number is right. It is at least the time of the change in milliseconds,
	// so that no record from an earlier run goes before one that has begun since. 0 is
	// no record.
	Generation int64 `json:"generation"`
	State      State `json:"state"`
	// Counted is what of all that was ever seen the state has taken in.
	Counted Sides `json:"counted"`
}

// after is the generation of a record that is made of this one at a time.
func (r record) after(now time.Time) int64 { return max(r.Generation+1, now.UnixMilli()) }

// report is what an instance brings of one rollout.
type report struct {
	route string
	// seen is what it has seen since its last report.
	seen Sides
	// known is the generation of the record that it knows.
	known int64
	// unable tells that it cannot decide: its config is of something else. curious
	// tells that it wants the total even where it does not decide.
	unable, curious bool
}

// view is what it gets back.
type view struct {
	now time.Time
	// decides tells that it is this instance that looks at the rollout.
	decides bool
	// generation is that of the record, and record itself is there where it is not
	// the one that was known.
	generation int64
	record     *record
	// total is all that all instances have ever seen; for the one that decides, or is
	// curious.
	total Sides
}

// change is a record that is to replace one.
type change struct {
	route string
	// of is the generation that the next one was made of.
	of   int64
	next record
}

// store keeps the records of all rollouts, and who decides.
type store interface {
	// exchange brings what was seen, and returns a view for each report, in order.
	exchange(ctx context.Context, all []report) ([]view, error)
	// commit replaces records, and tells of each whether it was; it was not where
	// another instance has replaced the record before.
	commit(ctx context.Context, all []change) ([]bool, error)
	close() error
}

// since is what was seen beyond what was counted. Where there is less, counts were
// lost, and what was seen since cannot be told from what was before: it is dropped.
func since(total, counted *Sides) Sides {
	canary, okCanary := beyond(&total.Canary, &counted.Canary)
	stable, okStable := beyond(&total.Stable, &counted.Stable)
	if !okCanary || !okStable {
		return Sides{}
	}
	return Sides{canary, stable}
}

func beyond(total, counted *Counts) (Counts, bool) {
	d := Counts{
		Requests: total.Requests - counted.Requests,
		Failed:   total.Failed - counted.Failed,
		Slow:     total.Slow - counted.Slow,
	}
	ok := total.Requests >= counted.Requests && total.Failed >= counted.Failed && total.Slow >= counted.Slow
	for i := range total.Latency {
		ok = ok && total.Latency[i] >= counted.Latency[i]
		d.Latency[i] = total.Latency[i] - counted.Latency[i]
	}
	return d, ok
}

// alone is the store of a process without Redis. What outlives the process is in
// the Controller's file.
type alone struct {
	clock   func() time.Time
	records map[string]record
	totals  map[string]*Sides
}

func newAlone(clock func() time.Time) *alone {
	return &alone{clock: clock, records: map[string]record{}, totals: map[string]*Sides{}}
}

func (a *alone) exchange(_ context.Context, all []report) ([]view, error) {
	out := make([]view, len(all))
	for i, r := range all {
		total := a.totals[r.route]
		if total == nil {
			total = &Sides{}
			a.totals[r.route] = total
		}
		total.add(&r.seen)
		out[i] = view{now: a.clock(), decides: true, total: *total}
		if kept, ok := a.records[r.route]; ok {
			out[i].generation = kept.Generation
			if kept.Generation != r.known {
				out[i].record = &kept
			}
		}
	}
	return out, nil
}

func (a *alone) commit(_ context.Context, all []change) ([]bool, error) {
	out := make([]bool, len(all))
	for i, ch := range all {
		if out[i] = a.records[ch.route].Generation <= ch.of; out[i] {
			a.records[ch.route] = ch.next
		}
	}
	return out, nil
}

func (a *alone) close() error { return nil }
