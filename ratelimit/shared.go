package ratelimit

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gatewright/gatewright/internal/inline"
	"github.com/gatewright/gatewright/internal/span"
)

// shared is the Redis that all instances share: one server, which a lane leads
// to, or a cluster with a lane to each master, so that one which fails takes down
// no limits but its own.
//
// In a cluster the items of a request may be in several slots. Each slot's are
// charged together or not at all; where one slot's are denied, or are not known,
// what the others have charged is given back.
type shared struct {
	redis   *redisStore
	timeout time.Duration
	log     *slog.Logger
	metrics *metrics
	// settle is what this process owes of items, to be charged before them;
	// unsettled takes it back when it may not have been. Nil: it owes nothing.
	settle    func(items []item) []item
	unsettled func(debts []item)

	// only is the lane to the one server. In a cluster it is gone by as long as no
	// server of it is known.
	only *lane

	mu      sync.RWMutex       // guards masters
	masters map[string]*master // by address
	found   atomic.Bool        // masters has one

	returning sync.WaitGroup // what is being given back, or was asked for by who has gone on
}

// master is a server of a cluster.
type master struct {
	*lane
	client atomic.Pointer[redis.Client] // go-redis makes a new one when a server comes back
}

// openShared probes Redis once, for at most startTimeout.
func openShared(r *redisStore, timeout time.Duration, log *slog.Logger, m *metrics) *shared {
	s := &shared{redis: r, timeout: timeout, log: log, metrics: m, masters: map[string]*master{}}
	s.only = s.newLane(log, "{ping}", func() redis.UniversalClient { return r.client })
	s.only.begin()
	return s
}

// newLane is the way to a server. Probes are made in the slot of tag, or of what
// failed last.
func (s *shared) newLane(log *slog.Logger, tag string, to func() redis.UniversalClient) *lane {
	var failed atomic.Pointer[string]
	failed.Store(&tag)
	l := &lane{metrics: s.metrics}
	l.server = func(ctx context.Context, calls []call) []replied {
		replies := s.redis.exchange(ctx, to(), calls)
		for i, r := range replies {
			if r.err != nil && len(calls[i].items) > 0 {
				tag := tagOf(calls[i].items[0].key)
				failed.Store(&tag)
				break
			}
		}
		return replies
	}
	l.guard = newGuard(func(ctx context.Context) error {
		if c := s.redis.cluster; c != nil {
			c.ReloadState(ctx) // in the background: the next probe knows
		}
		// By the cluster's client: the slot may be another server's by now.
		return s.redis.ping(ctx, *failed.Load())
	}, s.timeout, log)
	return l
}

// tagOf is the hash tag of a key, with its braces.
func tagOf(key string) string {
	tag, _, _ := strings.Cut(key, "}")
	return tag + "}"
}

// up says whether all servers that are known are up.
func (s *shared) up() bool {
	for _, l := range s.lanes() {
		if !l.up() {
			return false
		}
	}
	return true
}

// lanes are those to the servers that are known.
func (s *shared) lanes() []*lane {
	if !s.found.Load() {
		return []*lane{s.only}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	lanes := make([]*lane, 0, len(s.masters))
	for _, m := range s.masters {
		lanes = append(lanes, m.lane)
	}
	return lanes
}

// laneOf is the lane to the server that has a key's slot.
func (s *shared) laneOf(key string) *lane {
	cluster := s.redis.cluster
	if cluster == nil || !s.found.Load() && !s.only.up() {
		return s.only // nobody waits for a cluster of which no server answers
	}
	ctx := context.Background() // nothing is waited for once a server is known
	if !s.found.Load() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	client, err := cluster.MasterForKey(ctx, redisPrefix+key)
	if err != nil {
		return s.only
	}
	addr := client.Options().Addr
	s.mu.RLock()
	m := s.masters[addr]
	s.mu.RUnlock()
	if m == nil {
		m = s.addMaster(addr, key)
	}
	if m.client.Load() != client {
		m.client.Store(client)
	}
	return m.lane
}

func (s *shared) addMaster(addr, key string) *master {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.masters[addr]; m != nil {
		return m
	}
	m := &master{}
	m.lane = s.newLane(s.log.With("server", addr), tagOf(key), func() redis.UniversalClient { return m.client.Load() })
	s.masters[addr] = m
	s.found.Store(true)
	return m
}

// outcome is what is known of the items of a request.
type outcome struct {
	results []Result
	// lost are the items of which nothing is known; nil where all are. They may
	// have been charged or not.
	lost []bool
}

// denied says whether what is known denies the request: nothing is charged then.
func (t outcome) denied() bool {
	for i, r := range t.results {
		if !r.Allowed && (t.lost == nil || !t.lost[i]) {
			return true
		}
	}
	return false
}

// take charges all items or none, as far as their servers answer. Where some are
// lost and none is denied, the others are charged: who decides of the lost ones
// gives them back if it comes to that.
func (s *shared) take(ctx context.Context, items []item) outcome {
	inline.Blocks(ctx)
	waiting := span.Begin(ctx, span.Redis)
	t := s.takeAll(items)
	waiting.End(t.lost != nil)
	return t
}

// takeAll is take for who waits anyway.
func (s *shared) takeAll(items []item) outcome {
	if parts := s.parts(items); len(parts) > 1 {
		return s.takeParts(items, parts)
	}
	replies := s.ask(s.laneOf(items[0].key), []call{{op: opTake, items: items}})
	if replies[0].err != nil {
		return outcome{results: make([]Result, len(items)), lost: allTrue(len(items))}
	}
	return outcome{results: replies[0].results}
}

// ask asks one server. What is owed of the items is charged first, in the same
// call.
func (s *shared) ask(l *lane, calls []call) []replied {
	with, place := s.withDebts(l, calls)
	return s.own(with, place, l.ask(with))
}

// withDebts are calls with what is owed of their items before them, and the places
// that they have then; nil where nothing is owed, and the calls are as they were.
func (s *shared) withDebts(l *lane, calls []call) (with []call, place []int) {
	if s.settle == nil || !l.up() {
		return calls, nil
	}
	for i, c := range calls {
		debts := s.settle(c.items)
		if len(debts) > 0 {
			if place == nil {
				with, place = slices.Clone(calls[:i]), ascending(i)
			}
			with = append(with, call{op: opForce, items: debts})
		}
		if place != nil {
			place = append(place, len(with))
			with = append(with, c)
		}
	}
	if place == nil {
		return calls, nil
	}
	return with, place
}

// own are the replies to the calls that were given to withDebts. Debts that may not
// have been charged are taken back.
func (s *shared) own(with []call, place []int, all []replied) []replied {
	if place == nil {
		return all
	}
	replies := make([]replied, len(place))
	for i, at := range place {
		replies[i] = all[at]
	}
	for i, c := range with {
		if c.op == opForce && all[i].err != nil && !slices.Contains(place, i) {
			s.unsettled(c.items)
		}
	}
	return replies
}

// part is the items of a request in one slot.
type part struct {
	at    []int // where they are in the request
	items []item
}

// parts are the items by slot. Without a cluster there is one.
func (s *shared) parts(items []item) []part {
	if s.redis.cluster == nil || len(items) < 2 {
		return nil
	}
	var parts []part
	slots := make([]uint16, 0, len(items))
	for i, it := range items {
		slot := hashSlot(it.key)
		j := slices.Index(slots, slot)
		if j < 0 {
			j = len(parts)
			slots, parts = append(slots, slot), append(parts, part{})
		}
		parts[j].at, parts[j].items = append(parts[j].at, i), append(parts[j].items, it)
	}
	return parts
}

// allParts is parts, and all items together where they need not be parted.
func (s *shared) allParts(items []item) []part {
	if parts := s.parts(items); len(parts) > 1 {
		return parts
	}
	return []part{{at: ascending(len(items)), items: items}}
}

// takeParts asks for each part: those of one server together, and the servers at
// the same time.
func (s *shared) takeParts(items []item, parts []part) outcome {
	calls := takes(parts)
	return s.outcomeOf(items, parts, calls, s.askAll(calls))
}

// takes are the calls that charge the parts.
func takes(parts []part) []call {
	calls := make([]call, len(parts))
	for i, p := range parts {
		calls[i] = call{op: opTake, items: p.items}
	}
	return calls
}

// outcomeOf is what the replies to the calls of its parts say of a request. Where one
// is denied, what the others have charged is given back.
func (s *shared) outcomeOf(items []item, parts []part, calls []call, replies []replied) outcome {
	t := outcome{results: make([]Result, len(items))}
	denied := false
	var charged []call
	var chargedParts []part
	for i, r := range replies {
		if r.err != nil {
			if t.lost == nil {
				t.lost = make([]bool, len(items))
			}
			for _, at := range parts[i].at {
				t.lost[at] = true
			}
			continue
		}
		for j, at := range parts[i].at {
			t.results[at] = r.results[j]
		}
		if slices.ContainsFunc(r.results, func(r Result) bool { return !r.Allowed }) {
			denied = true
		} else {
			charged = append(charged, refund(calls[i], r.results))
			chargedParts = append(chargedParts, parts[i])
		}
	}
	if denied {
		s.giveBack(charged)
		for _, p := range chargedParts { // they say what they say without this request
			for _, at := range p.at {
				t.results[at] = t.results[at].without(items[at])
			}
		}
	}
	return t
}

// refund gives back what the known items of t were charged.
func (s *shared) refund(items []item, t outcome) {
	var back []call
	for i, it := range items {
		if t.lost == nil || !t.lost[i] {
			back = append(back, refund(call{op: opTake, items: []item{it}}, t.results[i:i+1]))
		}
	}
	s.giveBack(back)
}

// giveBack returns what has been charged, without waiting. What a server does not
// take back stays charged: too strict by a request, and never too loose.
func (s *shared) giveBack(calls []call) {
	if len(calls) > 0 {
		s.returning.Go(func() { s.askAll(calls) })
	}
}

// askAll asks for calls whose items are in one slot each, at the servers that have
// them, at the same time.
func (s *shared) askAll(calls []call) []replied {
	type trip struct {
		lane  *lane
		at    []int
		calls []call
	}
	var trips []*trip
	for i, c := range calls {
		l := s.laneOf(c.items[0].key)
		j := slices.IndexFunc(trips, func(t *trip) bool { return t.lane == l })
		if j < 0 {
			j = len(trips)
			trips = append(trips, &trip{lane: l})
		}
		trips[j].at, trips[j].calls = append(trips[j].at, i), append(trips[j].calls, c)
	}
	replies := make([]replied, len(calls))
	run := func(t *trip) {
		for i, r := range s.ask(t.lane, t.calls) {
			replies[t.at[i]] = r
		}
	}
	var others sync.WaitGroup
	for _, t := range trips[1:] {
		others.Go(func() { run(t) })
	}
	run(trips[0])
	others.Wait()
	return replies
}

// answer answers calls in their order. An error is that of all: each may have
// been done or not.
func (s *shared) answer(ctx context.Context, calls []call) ([][]Result, error) {
	inline.Blocks(ctx)
	waiting := span.Begin(ctx, span.Redis)
	results, err := s.answerAll(calls)
	waiting.End(err != nil)
	return results, err
}

// answerAll is answer for who waits anyway.
func (s *shared) answerAll(calls []call) ([][]Result, error) {
	if s.redis.cluster == nil {
		return resultsOf(s.ask(s.only, calls))
	}
	if !slices.ContainsFunc(calls, func(c call) bool { return len(s.parts(c.items)) > 1 }) {
		return resultsOf(s.askAll(calls))
	}
	results := make([][]Result, len(calls))
	var lost atomic.Bool
	var all sync.WaitGroup
	for i, c := range calls {
		all.Go(func() {
			t := s.do(c)
			results[i] = t.results
			if t.lost != nil {
				lost.Store(true)
			}
		})
	}
	all.Wait()
	if lost.Load() {
		return nil, errStoreDown
	}
	return results, nil
}

// resultsOf are what replies say. An error is that of all.
func resultsOf(replies []replied) ([][]Result, error) {
	results := make([][]Result, len(replies))
	for i, r := range replies {
		results[i] = r.results
	}
	return results, firstError(replies)
}

// do is one call in a cluster.
func (s *shared) do(c call) outcome {
	parts := s.allParts(c.items)
	if c.op == opTake && len(parts) > 1 {
		return s.takeParts(c.items, parts)
	}
	calls := make([]call, len(parts))
	for i, p := range parts {
		calls[i] = call{op: c.op, items: p.items}
	}
	t := outcome{results: make([]Result, len(c.items))}
	for i, r := range s.askAll(calls) {
		if r.err != nil {
			t.lost = allTrue(len(c.items))
			continue
		}
		for j, at := range parts[i].at {
			t.results[at] = r.results[j]
		}
	}
	return t
}

func ascending(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func allTrue(n int) []bool { return slices.Repeat([]bool{true}, n) }

// close waits for what is being given back, and ends the lanes and their
// connections. Requests after it find Redis failing, and go on without it.
func (s *shared) close() error {
	s.returning.Wait()
	s.only.close()
	s.mu.Lock()
	for _, m := range s.masters {
		m.close()
	}
	s.mu.Unlock()
	return s.redis.close()
}
