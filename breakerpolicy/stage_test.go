package breakerpolicy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// stage is one breaker in a store, with a clock that a test moves.
type stage struct {
	t     testing.TB
	store store
	kept  func() machine // what the store keeps
	name  string
	clock int64
	rules rules
	gen   int64 // as the last reply said
	ids   int
}

// keptAsJSON is a breaker's value in Redis, as machine is read from JSON.
const keptAsJSON = `
local value = redis.call('GET', KEYS[1])
if not value then return nil end
local m = cmsgpack.unpack(value)
local flat = m.slots
m.slots = nil
for i = 1, #(flat or {}), 3 do
  m.slots = m.slots or {}
  table.insert(m.slots, {at = flat[i], n = flat[i + 1], f = flat[i + 2]})
end
return cjson.encode(m)`

// firstTime is in the age of milliseconds with 13 digits, as Redis' own clock is.
const firstTime = 1_790_000_000_000

// testRules are the defaults, with times that are easy to reckon with.
func testRules() rules {
	return rulesOf(&config.Breaker{})
}

// onEachStore runs a test on memory and on Redis.
func onEachStore(t *testing.T, test func(t *testing.T, s *stage)) {
	t.Run("memory", func(t *testing.T) { test(t, stageInMemory(t)) })
	t.Run("redis", func(t *testing.T) { test(t, stageInRedis(t, testenv.StartRedis(t).Client, "b")) })
}

func stageInMemory(t testing.TB) *stage {
	s := &stage{t: t, name: "b", clock: firstTime, rules: testRules()}
	m := newMemory(func() int64 { return s.clock })
	s.store = m
	s.kept = func() machine {
		if m.of[s.name] == nil {
			return machine{}
		}
		return *m.of[s.name]
	}
	return s
}

func stageInRedis(t testing.TB, client redis.UniversalClient, name string) *stage {
	s := &stage{t: t, name: name, clock: firstTime, rules: testRules()}
	r := newRedisStore(client)
	r.clock = func() int64 { return s.clock }
	s.store = r
	s.kept = func() (m machine) {
		text, err := client.Eval(context.Background(), keptAsJSON, []string{redisKey(s.name)}).Text()
		if errors.Is(err, redis.Nil) {
			return machine{}
		}
		if err == nil {
			err = json.Unmarshal([]byte(text), &m)
		}
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	return s
}

// say has an instance report.
func (s *stage) say(by string, r report) reply {
	s.t.Helper()
	a, err := s.try(by, r)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *stage) try(by string, r report) (reply, error) {
	r.Rules = s.rules
	if r.ID == "" {
		s.ids++
		r.ID = fmt.Sprintf("p%d", s.ids)
	}
	if r.Offer.State == "" {
		r.Offer.State = StateClosed
	}
	a := s.store.exchange(context.Background(), by, []ask{{s.name, &r}})[0]
	if a.err == nil {
		s.gen = a.Gen
	}
	return a.reply, a.err
}

// ends reports on requests of this generation that have just ended.
func (s *stage) ends(by string, total, failed int64) reply {
	s.t.Helper()
	return s.say(by, report{Gen: s.gen, Counts: window{{0, total, failed}}})
}

// trip opens the breaker.
func (s *stage) trip() reply {
	s.t.Helper()
	a := s.ends("A", s.rules.Least, s.rules.Least)
	s.want(a, StateOpen)
	return a
}

// halfOpen opens it, waits, and has A take the probe.
func (s *stage) halfOpen() (probe string) {
	s.t.Helper()
	s.trip()
	s.clock += s.rules.Open
	a := s.say("A", report{Claim: ready})
	s.want(a, StateHalfOpen)
	if a.Granted == "" {
		s.t.Fatal("A has asked first, and got no probe")
	}
	return a.Granted
}

func (s *stage) want(a reply, state State) {
	s.t.Helper()
	if a.State != state {
		s.t.Fatalf("it is %s, want %s; %+v", a.State, state, a)
	}
}

// equal fails where two values differ.
func equal[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}
