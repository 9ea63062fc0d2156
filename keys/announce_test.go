package keys

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewright/gatewright/internal/testenv"
)

// TestThreeInstancesOnPostgresAndRedis: a revocation, a rotation and a change of
// rights are effective on all of them within the time that is promised, with
// Redis, without it, and where it loses every announcement.
func TestThreeInstancesOnPostgresAndRedis(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*testenv.Redis){
		"well":    func(*testenv.Redis) {},
		"stopped": func(r *testenv.Redis) { r.Signal(syscall.SIGSTOP) },
		"killed":  func(r *testenv.Redis) { r.Kill() },
		"announcements are lost": func(r *testenv.Redis) {
			r.Do("ACL", "SETUSER", "default", "resetchannels") // also ends subscriptions
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			var caches [3]*rig
			for i := range caches {
				caches[i] = f.instanceWith(t, 100*time.Millisecond, func(r *rig) { r.now = time.Now })
			}
			revoked, revokedText := create(t, f.command)
			rotated, rotatedText := create(t, f.command)
			changed, changedText := create(t, f.command)
			for _, r := range caches {
				for _, text := range []string{revokedText, rotatedText, changedText} {
					r.want(t, text, Valid)
				}
			}
			begin(f.redis)
			if _, err := f.command.Revoke(t.Context(), revoked.ID); err != nil {
				t.Fatal(err)
			}
			effective(t, caches[:], func(r *rig) bool { return r.find(t, revokedText).State == Revoked })
			if _, _, err := f.command.Rotate(t.Context(), rotated.ID, 0); err != nil {
				t.Fatal(err)
			}
			effective(t, caches[:], func(r *rig) bool { return r.find(t, rotatedText).State == Expired })
			execute(t, f.db.url, `UPDATE keys SET permissions = '[]' WHERE id = '`+changed.ID+`'`)
			effective(t, caches[:], func(r *rig) bool { return !r.find(t, changedText).Record.HasPermissions([]string{"users:read"}) })
		})
	}
}

// effective fails unless a change that was just made holds on all instances
// within the time that is promised.
func effective(t *testing.T, caches []*rig, holds func(*rig) bool) {
	t.Helper()
	made := time.Now()
	for i, r := range caches {
		eventually(t, func() bool {
			asked := time.Now()
			held := holds(r)
			if !held && asked.Sub(made) > promised {
				t.Fatalf("instance %d: not effective %s after the change", i, asked.Sub(made))
			}
			return held
		})
	}
}

// TestAnnouncementsAreHeard: each change is announced once, after it is made,
// and what is not changed is not.
func TestAnnouncementsAreHeard(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	r := f.instance(t)
	listening(t, f)
	heard := func() float64 { return testutil.ToFloat64(r.shared.metrics.heard) }
	record, _ := create(t, f.command)
	eventually(t, func() bool { return heard() == 1 })
	if _, err := f.command.Revoke(t.Context(), record.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return heard() == 2 })
	if _, err := f.command.Import(t.Context(), readCSV(t, "name,key\na,"+foreign+"\nb,"+foreign+"x")); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return heard() == 3 })
	if _, err := f.command.Revoke(t.Context(), unknownKey(t)); err == nil {
		t.Fatal("a key that nobody has made is revoked")
	}
	if _, err := f.command.Import(t.Context(), readCSV(t, "name,key\na,"+foreign)); err == nil {
		t.Fatal("imported twice")
	}
	if heard() != 3 {
		t.Errorf("%v announcements of three changes", heard())
	}
}

// TestRedisMayBeSeveralServers: values and announcements go by a cluster, and by
// the master of sentinels, as by one server.
func TestRedisMayBeSeveralServers(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(*testing.T) string{
		"cluster":   func(t *testing.T) string { return testenv.StartRedisCluster(t, 5*time.Second).URL() },
		"sentinels": func(t *testing.T) string { return testenv.StartRedisSentinels(t, 5*time.Second).URL() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fleetOn(t, url(t))
			one, two := f.instance(t), f.instance(t)
			written := func() float64 {
				return testutil.ToFloat64(one.shared.metrics.calls.WithLabelValues(callWrite, resultOK))
			}
			for range 20 { // in the slots of all masters
				_, text := create(t, f.command)
				before := written()
				one.wantFrom(t, text, Valid, layerDatabase)
				eventually(t, func() bool { return written() > before })
				two.poll(t)
				two.wantFrom(t, text, Valid, layerRedis)
			}
			eventually(t, func() bool { return testutil.ToFloat64(two.shared.metrics.heard) >= 10 })
		})
	}
}

// listening waits until an instance hears announcements.
func listening(t *testing.T, f fleet) {
	t.Helper()
	eventually(t, func() bool {
		listeners, err := f.redis.Client.PubSubNumSub(t.Context(), f.command.redis.channel).Result()
		return err == nil && listeners[f.command.redis.channel] > 0
	})
}

// TestForgedAnnouncementsCostLittle: a flood of junk on the channel costs at
// most twenty reads of the feed a second, and delays no change.
func TestForgedAnnouncementsCostLittle(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	r := f.instance(t)
	listening(t, f)
	record, text := create(t, f.command)
	r.want(t, text, Valid)
	polls, began := r.tap.polls.Load(), time.Now()
	together(5000, 8, func(i int) {
		junk := strings.Repeat("x", i%1000)
		if err := f.redis.Client.Publish(t.Context(), f.command.redis.channel, junk).Err(); err != nil {
			t.Error(err)
		}
	})
	if _, err := f.command.Revoke(t.Context(), record.ID); err != nil {
		t.Fatal(err)
	}
	effective(t, []*rig{r}, func(r *rig) bool { return r.find(t, text).State == Revoked })
	took := time.Since(began)
	bound := int64(took/newsGap) + int64(took/pollEvery) + 2
	if n := r.tap.polls.Load() - polls; n > bound {
		t.Errorf("%d reads of the feed for 5000 messages in %s, want at most %d", n, took, bound)
	}
}

// TestNobodyToAnnounceToIsNoFault: a change is made, and its maker not held up
// for long, while Redis is away.
func TestNobodyToAnnounceToIsNoFault(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*testenv.Redis){
		"killed":  func(r *testenv.Redis) { r.Kill() },
		"stopped": func(r *testenv.Redis) { r.Signal(syscall.SIGSTOP) },
	} {
		f := newFleet(t)
		begin(f.redis)
		began := time.Now()
		create(t, f.command)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: a change takes %s", name, took)
		}
	}
}
