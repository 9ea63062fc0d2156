package breakerpolicy

import (
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// openAlone is a breaker that an instance has opened without the store, some time ago.
func openAlone(gen, age int64) offer {
	return offer{Gen: gen, State: StateOpen, Age: age, In: 20_000, Trips: 1, Tripped: tally{30, 20}}
}

// A store that has lost what it has said is told of it: nothing closes, and nothing
// opens, because Redis was restarted.
func TestAdoptWhatAStoreHasLost(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		known := openAlone(7, 60_000)
		known.Told = true
		s.want(s.say("new", report{}), StateClosed) // another was faster, and knows nothing
		s.clock += 1000
		a := s.say("A", report{Offer: known})
		equal(t, "A is told", a.offer, known)
		s.clock += known.In - 1
		s.want(s.say("new", report{Claim: ready}), StateOpen)
		s.clock++
		s.want(s.say("new", report{Claim: ready}), StateHalfOpen)
	})
}

// A probe that was out when the store lost it is still the only one.
func TestAdoptProbe(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		known := offer{Gen: 2, State: StateHalfOpen, Age: 100, Probe: "theirs", By: "A", ProbeIn: 5000, Told: true}
		equal(t, "B has", s.say("B", report{Claim: wanting, Offer: known}).Granted, "")
		equal(t, "A has", s.say("A", report{Claim: ready, Offer: known, Held: "theirs"}).Granted, "theirs")
		s.want(s.say("C", report{Results: []result{{"theirs", succeeded}}}), StateClosed)
	})
}

// What an instance has done alone counts where all were alone: nobody was heard
// when it did so, and somebody is heard again since a short time.
func TestAdoptWhatWasDoneAlone(t *testing.T) {
	for name, c := range map[string]struct {
		outage int64 // in which nobody reports
		age    int64 // since the instance has opened the breaker
		late   int64 // until it reports, after others do again
		want   State
	}{
		"all were alone":                     {60_000, 30_000, 0, StateOpen},
		"all were, and another was faster":   {60_000, 35_000, 5_000, StateOpen},
		"others were heard":                  {1_000, 500, 0, StateClosed},
		"others were heard at that time":     {60_000, 61_000, 0, StateClosed},
		"it was out of reach for longer":     {60_000, 4_000, 5_000, StateClosed},
		"it comes when all has long gone on": {60_000, 50_000, 20_000, StateClosed},
	} {
		t.Run(name, func(t *testing.T) {
			onEachStore(t, func(t *testing.T, s *stage) {
				for range 5 { // B is heard of every second
					s.say("B", report{})
					s.clock += 1000
				}
				s.clock += c.outage - 1000
				for at := int64(0); at < c.late; at += 1000 {
					s.say("B", report{})
					s.clock += 1000
				}
				s.want(s.say("A", report{Offer: openAlone(1, c.age)}), c.want)
			})
		})
	}
}

// An offer of an earlier generation, or of the same, changes nothing.
func TestAdoptNothingOld(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		s.trip()
		for gen := range int64(2) {
			known := offer{Gen: gen, State: StateClosed, Told: true}
			a := s.say("B", report{Offer: known})
			s.want(a, StateOpen)
			equal(t, "generation", a.Gen, 1)
		}
	})
}

// What an operator has asked for outlives the store, too.
func TestAdoptForced(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *stage) {
		a := s.say("A", report{Offer: offer{Gen: 3, State: StateOpen, Forced: ForceOpen, Told: true}})
		equal(t, "forced", a.Forced, ForceOpen)
		s.clock += 100_000
		s.want(s.say("B", report{Claim: wanting}), StateOpen)
	})
}

// Whatever stands under a breaker's key in Redis: it is overwritten, and no error.
func TestForeignValues(t *testing.T) {
	const fields = `gen = 5, state = 'open', since = 0, ['until'] = 0, trips = 0, streak = 0, heard = 0, silent = 0, resumed = 0, `
	server := testenv.StartRedis(t)
	pack := func(table string) string {
		value, err := server.Client.Eval(t.Context(), "return cmsgpack.pack("+table+")", nil).Text()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	good := pack("{" + fields + "tripped = {n = 0, f = 0}}")
	for name, value := range map[string]string{
		"nothing": "", "text": "x", "JSON": "{}", "zeros": "\x00\x00", "cut": good[:len(good)-1], "more behind": good + "x",
		"a number": pack("7"), "a list": pack("{}"), "a text for a number": pack("{gen = '5'}"),
		"a state that there is not": pack("{" + fields + "tripped = {n = 0, f = 0}, state = 'ajar'}"),
		"slots that are a number":   pack("{" + fields + "tripped = {n = 0, f = 0}, slots = 7}"),
		"slots that are cut":        pack("{" + fields + "tripped = {n = 0, f = 0}, slots = {1, 2}}"),
		"slots of texts":            pack("{" + fields + "tripped = {n = 0, f = 0}, slots = {1, 2, 'x'}}"),
		"no counts":                 pack("{" + fields + "tripped = {}}"),
		"half a probe":              pack("{" + fields + "tripped = {n = 0, f = 0}, probe = {id = 'x'}}"),
		"half a wish":               pack("{" + fields + "tripped = {n = 0, f = 0}, wanted = 'x'}"),
	} {
		s := stageInRedis(t, server.Client, "b")
		server.Do("SET", redisKey("b"), value)
		a := s.ends("A", 5, 1)
		equal(t, name+": it is", a.Gen, 0)
		equal(t, name+": it has counted", a.Now, tally{5, 1})
		equal(t, name+": it is kept", s.kept().Slots.sum(), tally{5, 1})
	}
	server.Do("SET", redisKey("b"), good)
	s := stageInRedis(t, server.Client, "b")
	equal(t, "ours", s.say("A", report{}).Gen, 5)
	s.gen = 0
	server.Do("DEL", redisKey("b"))
	server.Do("LPUSH", redisKey("b"), "x")
	s.ends("A", 5, 1)
	equal(t, "of a list: it is kept", s.kept().Slots.sum(), tally{5, 1})
}

// Keys end when nobody reports any more.
func TestKeysExpire(t *testing.T) {
	server := testenv.StartRedis(t)
	s := stageInRedis(t, server.Client, "b")
	for _, c := range []struct {
		report report
		most   int64
	}{
		{report{}, 600_000 + s.rules.Window},
		{report{Counts: window{{0, 20, 20}}}, 600_000 + s.rules.Window + s.rules.Open},
		{report{Force: ForceOpen}, 604_800_000},
	} {
		s.say("A", c.report)
		left := server.Do("PTTL", redisKey("b")).(int64)
		if left <= c.most-60_000 || left > c.most {
			t.Errorf("it is kept for %d ms, want %d", left, c.most)
		}
	}
}
