package outcome

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// exemplarEvery is how often a series has another exemplar, and each bucket of a
// histogram by itself: nobody scrapes more often, and of several between two scrapes the
// last alone is seen.
const exemplarEvery = time.Second

// Exemplars are which requests are named beside the series that they count for
// (OpenMetrics 1.0.0, "Exemplars").
type Exemplars int

// None, which is the zero value; some of those of whose traces there are spans, by the
// id of the trace; the same, and by who has sent them.
const (
	NoExemplars Exemplars = iota
	TraceExemplars
	UserExemplars
)

// The labels of an exemplar.
const (
	exemplarTrace = "trace_id"
	exemplarUser  = "user"
)

// KeepExemplars says which are kept from now on. Where users are to be named no more, the
// series begin anew, as after a restart: what is kept already would stay until another
// request comes.
func (m *Metrics) KeepExemplars(kept Exemplars) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if kept == m.exemplars {
		return
	}
	if m.exemplars == UserExemplars {
		m.requests.Reset()
		m.seconds.Reset()
	}
	m.exemplars = kept
	clear(m.found)
}

// gates say when the series of a place have another exemplar.
type gates struct {
	recorded func(Outcome) (trace string, ok bool)
	now      func() time.Time
	users    bool

	// When the last ones were, in Unix nanoseconds: that of the counter, and those of the
	// buckets of the histogram.
	requests atomic.Int64
	seconds  [len(buckets) + 1]atomic.Int64
}

// pass are the labels of the exemplars that an outcome is for its series; nil: it is none.
// At first it is asked what costs the least.
func (g *gates) pass(o Outcome) (requests, seconds prometheus.Labels) {
	if o.Trace == "" {
		return nil, nil
	}
	now := g.now().UnixNano()
	bucket, _ := slices.BinarySearch(buckets[:], o.Duration.Seconds())
	counter, histogram := &g.requests, &g.seconds[bucket]
	if !due(counter, now) && !due(histogram, now) {
		return nil, nil
	}
	trace, ok := g.recorded(o)
	if !ok {
		return nil, nil
	}
	// What comes with an outcome is a part of a message.
	labels := prometheus.Labels{exemplarTrace: strings.Clone(trace)}
	if g.users && canBeNamed(o.User, trace) {
		labels[exemplarUser] = strings.Clone(o.User)
	}
	if open(counter, now) {
		requests = labels
	}
	if open(histogram, now) {
		seconds = labels
	}
	return requests, seconds
}

func due(gate *atomic.Int64, now int64) bool { return now-gate.Load() >= int64(exemplarEvery) }

// open opens a gate for one of those who come at the same time.
func open(gate *atomic.Int64, now int64) bool {
	last := gate.Load()
	return now-last >= int64(exemplarEvery) && gate.CompareAndSwap(last, now)
}

// canBeNamed tells whether a user can be in an exemplar beside a trace. Half a name would
// be another's, so one that is too long is left out.
func canBeNamed(user, trace string) bool {
	const others = len(exemplarTrace) + len(exemplarUser)
	return user != "" && utf8.ValidString(user) && others+len(trace)+utf8.RuneCountInString(user) <= prometheus.ExemplarMaxRunes
}
