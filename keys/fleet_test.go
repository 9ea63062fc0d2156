package keys

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewright/gatewright/internal/testenv"
)

// fleet is a PostgreSQL, a Redis beside it, and whoever changes keys.
type fleet struct {
	db    database
	redis *testenv.Redis // nil where it is several servers
	url   string
	// command changes keys as `gatewright keys` does.
	command *Store
}

func newFleet(t testing.TB) fleet {
	t.Helper()
	redis := testenv.StartRedis(t)
	f := fleetOn(t, redis.URL())
	f.redis = redis
	return f
}

func fleetOn(t testing.TB, url string) fleet {
	t.Helper()
	f := fleet{db: newPostgres(t), url: url}
	f.command = f.open(t, patient)
	return f
}

// patient is more than Redis needs on a machine however busy.
const patient = 5 * time.Second

func (f fleet) open(t testing.TB, timeout time.Duration) *Store {
	t.Helper()
	store, err := Open(t.Context(), Settings{DatabaseURL: f.db.url, Secret: testSecret, RedisURL: f.url, RedisTimeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// instance starts one more gateway's Cache.
func (f fleet) instance(t testing.TB) *rig { return f.instanceWith(t, patient, func(*rig) {}) }

func (f fleet) instanceWith(t testing.TB, timeout time.Duration, prepare func(*rig)) *rig {
	t.Helper()
	store := f.open(t, timeout)
	r := &rig{tap: &tap{source: store}, clock: newClock(), other: f.command}
	r.Cache = newCache(r.tap, Settings{StaleFor: time.Minute}, r.clock.Now, discard())
	r.shared = newShared(store.redis, discard())
	prepare(r)
	run(t, r.Cache)
	eventually(t, func() bool { return !r.health.Load().synced.IsZero() })
	return r
}

// names are those of the values of id in Redis, or of all for "*".
func (f fleet) names(t testing.TB, id string) []string {
	t.Helper()
	names, err := f.redis.Client.Keys(t.Context(), sharedPrefix+"*:"+id).Result()
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// value waits until Redis holds the value of a key, and returns its name and it.
func (f fleet) value(t testing.TB, text string) (name, value string) {
	t.Helper()
	parsed, _ := Parse(text)
	eventually(t, func() bool { return len(f.names(t, parsed.ID)) == 1 })
	name = f.names(t, parsed.ID)[0]
	value, err := f.redis.Client.Get(t.Context(), name).Result()
	if err != nil {
		t.Fatal(err)
	}
	return name, value
}

// from tells how many records came from a layer.
func (r *rig) from(l layer) float64 { return testutil.ToFloat64(r.metrics.layers[l]) }

// values tells how often a value in Redis was found to be such.
func (r *rig) values(result string) float64 {
	return testutil.ToFloat64(r.shared.metrics.values.WithLabelValues(result))
}

// failures tells how many calls of Redis failed.
func (r *rig) failures(operation string) float64 {
	return testutil.ToFloat64(r.shared.metrics.calls.WithLabelValues(operation, resultError))
}

// wantFrom fails unless text has that state by that layer.
func (r *rig) wantFrom(t testing.TB, text string, state State, l layer) {
	t.Helper()
	before := r.from(l)
	r.want(t, text, state)
	if r.from(l) != before+1 {
		t.Fatalf("the key is %s, and not from the %s", state, l)
	}
}

// holdsNothingOf fails if text holds a part of a key's secret that is long
// enough to be no accident.
func holdsNothingOf(t testing.TB, text, key string) {
	t.Helper()
	secret := key[checksumStart-secretChars : checksumStart]
	for at := 0; at+10 <= len(secret); at++ {
		if strings.Contains(text, secret[at:at+10]) {
			t.Fatal("it holds part of a key")
		}
	}
}
