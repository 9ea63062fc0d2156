package keys

import (
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestVerdicts(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		record, valid := create(t, r.other)
		_, revoked := create(t, r.other)
		parsed, _ := Parse(revoked)
		if _, err := r.other.Revoke(t.Context(), parsed.ID); err != nil {
			t.Fatal(err)
		}
		short, secret, err := r.other.Create(t.Context(), Spec{Name: "short", ExpiresAt: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		r.clock.advance(2 * time.Hour)

		for name, c := range map[string]struct {
			text, id string
			want     State
		}{
			"a key":                           {valid, record.ID, Valid},
			"nothing":                         {"", "", Malformed},
			"its id":                          {record.ID, "", Malformed},
			"huge":                            {strings.Repeat("a", 1<<20), "", Malformed},
			"never made":                      {unknownKey(t), "", Unknown},
			"another secret":                  {otherSecret(t, valid), "", Unknown},
			"revoked":                         {revoked, parsed.ID, Revoked},
			"another secret of a revoked key": {otherSecret(t, revoked), "", Unknown},
			"expired":                         {secret.Reveal(), short.ID, Expired},
			"another secret of expired key":   {otherSecret(t, secret.Reveal()), "", Unknown},
		} {
			for _, from := range []string{"database", "memory"} {
				answer := r.find(t, c.text)
				if answer.State != c.want || answer.Record.ID != c.id {
					t.Errorf("%s, from %s: %s of %q, want %s of %q", name, from, answer.State, answer.Record.ID, c.want, c.id)
				}
			}
		}
		if answer := r.find(t, valid); !reflect.DeepEqual(answer.Record, record) {
			t.Errorf("record %+v, want %+v", answer.Record, record)
		}
	})
}

func TestKnownKeyIsReadOnce(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		_, text := create(t, r.other)
		for range 100 {
			r.want(t, text, Valid)
		}
		if reads := r.tap.lookUps.Load(); reads != 1 {
			t.Errorf("%d reads, want 1", reads)
		}
	})
}

func TestNewKeyWorksAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		r.want(t, unknownKey(t), Unknown)
		for range 10 {
			_, text := create(t, r.other)
			r.want(t, text, Valid)
		}
	})
}

func TestExpiryIsJudgedAtEachRequest(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		ends := r.clock.Now().Add(time.Second).Truncate(time.Millisecond)
		_, secret, err := r.other.Create(t.Context(), Spec{Name: "short", ExpiresAt: ends})
		if err != nil {
			t.Fatal(err)
		}
		text := secret.Reveal()
		r.want(t, text, Valid)
		r.clock.advance(ends.Sub(r.clock.Now()) - 1)
		r.want(t, text, Valid)
		r.clock.advance(1)
		r.want(t, text, Expired)
		if reads := r.tap.lookUps.Load(); reads != 1 {
			t.Errorf("%d reads, want 1: expiry needs none", reads)
		}
	})
}

func TestMalformedKeysCostNoRead(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		valid := unknownKey(t)
		for i := range 10000 {
			text := randomText(t, i%200)
			if i%2 == 0 { // of the right form but for one character
				at := len(prefix) + i%(keyChars-len(prefix))
				text = valid[:at] + string(alphabet[(strings.IndexByte(alphabet, valid[at])+1)%len(alphabet)]) + valid[at+1:]
			}
			r.want(t, text, Malformed)
		}
		if reads := r.tap.lookUps.Load(); reads != 0 {
			t.Errorf("%d reads, want 0", reads)
		}
	})
}

func TestMadeUpKeysCostBoundedReads(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		_, known := create(t, r.other)
		r.want(t, known, Valid)
		before := r.tap.lookUps.Load()
		began := time.Now()
		together(10000, 64, func(int) {
			if answer, err := r.Find(t.Context(), unknownKey(t)); err != nil || answer.State != Unknown {
				t.Errorf("%s, %v; want %s", answer.State, err, Unknown)
			}
		})
		bound := int64(time.Since(began)/loadGap) + 1
		if reads := r.tap.lookUps.Load() - before; reads > bound {
			t.Errorf("%d reads for 10 000 made-up keys, want at most %d", reads, bound)
		}
		if remembered := r.unknown.len(); remembered > unknownEntries {
			t.Errorf("%d of them remembered, want at most %d", remembered, unknownEntries)
		}
		before = r.tap.lookUps.Load()
		r.want(t, known, Valid)
		if r.tap.lookUps.Load() != before {
			t.Error("the flood pushed a real key out")
		}
	})
}

func TestWrongSecretsAreJudgedInMemory(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		_, text := create(t, r.other)
		for range 1000 {
			r.want(t, otherSecret(t, text), Unknown)
		}
		r.want(t, text, Valid)
		if reads := r.tap.lookUps.Load(); reads != 1 {
			t.Errorf("%d reads, want 1", reads)
		}
	})
}

func TestRepeatedUnknownKeyIsReadOnce(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		text := unknownKey(t)
		for range 100 {
			r.want(t, text, Unknown)
		}
		if reads := r.tap.lookUps.Load(); reads != 1 {
			t.Errorf("%d reads, want 1", reads)
		}
	})
}

func TestRequestsForOneKeyShareItsRead(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		_, text := create(t, r.other)
		var start, ready sync.WaitGroup
		start.Add(1)
		ready.Add(200)
		var done sync.WaitGroup
		for range 200 {
			done.Go(func() {
				ready.Done()
				start.Wait()
				if answer, err := r.Find(t.Context(), text); err != nil || answer.State != Valid {
					t.Errorf("%s, %v; want %s", answer.State, err, Valid)
				}
			})
		}
		ready.Wait()
		start.Done()
		done.Wait()
		// Those that come while it is read share the next.
		if reads := r.tap.lookUps.Load(); reads > 2 {
			t.Errorf("%d reads, want at most 2", reads)
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{CacheEntries: 10})
		for range 40 {
			_, text := create(t, r.other)
			r.want(t, text, Valid)
			r.want(t, unknownKey(t), Unknown)
			if r.known.len() > 10 || r.unknown.len() > 10 {
				t.Fatalf("%d known and %d unknown keys remembered, want at most 10 each", r.known.len(), r.unknown.len())
			}
		}
		if r.size() != 20 {
			t.Errorf("%d entries, want the 20 there is room for", r.size())
		}
	})
}

func TestMetrics(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		store := openStore(t, db.url)
		registry := prometheus.NewRegistry()
		cache, err := NewCache(store, Settings{}, time.Now, discard(), registry)
		if err != nil {
			t.Fatal(err)
		}
		run(t, cache)
		_, text := create(t, store)
		for _, shown := range []string{text, text, "", unknownKey(t)} {
			if _, err := cache.Find(t.Context(), shown); err != nil {
				t.Fatal(err)
			}
		}
		want := `
	# HELP gatewright_keys_cache_entries Key ids that the cache remembers, known and unknown.
	# TYPE gatewright_keys_cache_entries gauge
	gatewright_keys_cache_entries 2
	# HELP gatewright_keys_lookups_total API keys that requests showed, by verdict; error is the database not answering.
	# TYPE gatewright_keys_lookups_total counter
	gatewright_keys_lookups_total{result="malformed"} 1
	gatewright_keys_lookups_total{result="unknown"} 1
	gatewright_keys_lookups_total{result="valid"} 2
	`
		err = testutil.GatherAndCompare(registry, strings.NewReader(want), "gatewright_keys_lookups_total", "gatewright_keys_cache_entries")
		if err != nil {
			t.Error(err)
		}
		if synced := testutil.ToFloat64(cache.metrics.synced); synced < float64(time.Now().Add(-time.Hour).Unix()) {
			t.Errorf("synced at %v, want now", synced)
		}
		if _, err := NewCache(store, Settings{}, time.Now, discard(), registry); err == nil {
			t.Error("the metrics were registered twice without an error")
		}
	})
}
