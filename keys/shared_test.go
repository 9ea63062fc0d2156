package keys

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// TestKeyIsReadOnceByAllInstances: what one has read the others have of Redis,
// and judge as it does.
func TestKeyIsReadOnceByAllInstances(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	one, two := f.instance(t), f.instance(t)
	made, text := create(t, f.command)
	one.wantFrom(t, text, Valid, layerDatabase)
	one.wantFrom(t, text, Valid, layerMemory)
	f.value(t, text)
	two.poll(t)
	two.wantFrom(t, text, Valid, layerRedis)
	two.wantFrom(t, text, Valid, layerMemory)
	two.want(t, otherSecret(t, text), Unknown)
	if answer := two.find(t, text); !reflect.DeepEqual(answer.Record, made) {
		t.Errorf("record %+v, want %+v", answer.Record, made)
	}
	if reads := two.tap.lookUps.Load(); reads != 0 {
		t.Errorf("%d reads of the database, want none", reads)
	}
	// One that starts later has it, too, and an old memory does not outlive its time.
	f.instance(t).wantFrom(t, text, Valid, layerRedis)
	two.clock.advance(freshFor + 1)
	two.want(t, text, Valid)

	if left := f.redis.Client.PTTL(t.Context(), f.names(t, made.ID)[0]).Val(); left <= 0 || left > sharedFor {
		t.Errorf("Redis keeps it for %s, want at most %s", left, sharedFor)
	}
}

// TestJunkInRedisIsAMiss: whatever somebody writes under every name of ours, it
// opens nothing, denies nothing, and is put right.
func TestJunkInRedisIsAMiss(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	one, two := f.instance(t), f.instance(t)
	_, strong := create(t, f.command)
	one.want(t, strong, Valid)
	_, strongValue := f.value(t, strong)
	redis, ctx := f.redis.Client, t.Context()
	put := func(value any) func(string, string) error {
		return func(name, _ string) error { return redis.Set(ctx, name, value, 0).Err() }
	}
	for what, junk := range map[string]func(name, value string) error{
		"empty":              put(""),
		"one byte":           put("x"),
		"random":             put(randomText(t, 700)),
		"JSON":               put(`{"version":1,"record":{"id":"0123456789abc","permissions":["*"]}}`),
		"another key's":      put(strongValue),
		"without its sum":    func(name, value string) error { return redis.Set(ctx, name, value[32:], 0).Err() },
		"cut":                func(name, value string) error { return redis.Set(ctx, name, value[:len(value)-1], 0).Err() },
		"doubled":            func(name, value string) error { return redis.Append(ctx, name, value).Err() },
		"with more rights":   func(name, value string) error { return redis.Set(ctx, name, moreRights(t, value), 0).Err() },
		"with a flipped bit": func(name, _ string) error { return redis.SetRange(ctx, name, 40, "\xff").Err() },
		"huge":               put(strings.Repeat("x", 32<<20)),
		"a list":             func(name, _ string) error { redis.Del(ctx, name); return redis.LPush(ctx, name, "x").Err() },
		"a hash":             func(name, _ string) error { redis.Del(ctx, name); return redis.HSet(ctx, name, "x", "y").Err() },
		"gone":               func(name, _ string) error { return redis.Del(ctx, name).Err() },
	} {
		_, valid := create(t, f.command)
		revokedRecord, revoked := create(t, f.command)
		if _, err := f.command.Revoke(ctx, revokedRecord.ID); err != nil {
			t.Fatal(err)
		}
		never := unknownKey(t)
		parsed, _ := Parse(never)
		for text, state := range map[string]State{valid: Valid, revoked: Revoked} {
			one.want(t, text, state)
			name, value := f.value(t, text)
			if err := junk(name, value); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			// Under the name of a key that nobody has made, too.
			if err := junk(strings.TrimSuffix(name, name[strings.LastIndex(name, ":")+1:])+parsed.ID, value); err != nil && what != "gone" {
				t.Fatalf("%s: %v", what, err)
			}
		}
		two.poll(t)
		two.wantFrom(t, valid, Valid, layerDatabase)
		two.wantFrom(t, revoked, Revoked, layerDatabase)
		two.wantFrom(t, never, Unknown, layerDatabase)
		if answer := two.find(t, valid); !reflect.DeepEqual(answer.Record.Permissions, []string{"users:read"}) {
			t.Errorf("%s: permissions %q", what, answer.Record.Permissions)
		}
		// What is wrong was overwritten by what is right.
		three := f.instance(t)
		three.wantFrom(t, valid, Valid, layerRedis)
		three.wantFrom(t, revoked, Revoked, layerRedis)
	}
	if two.values(valueForged) < 20 || two.failures(callRead) != 0 {
		t.Errorf("%v forged values, %v failures, want what was found", two.values(valueForged), two.failures(callRead))
	}
}

// moreRights is a value whose permissions somebody has changed.
func moreRights(t testing.TB, value string) string {
	t.Helper()
	changed := strings.Replace(value, "users:read", "users:root", 1)
	if changed == value {
		t.Fatal("the permissions are not in the value")
	}
	return changed
}

// TestReplayedValuesAreMisses: who has kept a value of before a revocation, a
// change of rights, a rotation or a deletion, and puts it back, wins nothing:
// not with those who run, nor with one that starts, nor where so much was changed
// since that this change is no longer remembered by itself.
func TestReplayedValuesAreMisses(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	// The instances' clocks stand still: what ends now ends before.
	f.command.now = func() time.Time { return time.Now().Add(-time.Minute) }
	one, two := f.instance(t), f.instance(t)
	forgetful := func(r *rig) { r.shared.recent = newRecent(2) }
	three := f.instanceWith(t, patient, forgetful)
	type replay struct{ text, name, value string }
	kept := map[string]replay{}
	change := map[string]func(id string){
		"revoked": func(id string) {
			if _, err := f.command.Revoke(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		},
		"fewer rights": func(id string) { execute(t, f.db.url, `UPDATE keys SET permissions = '[]' WHERE id = '`+id+`'`) },
		"rotated": func(id string) {
			if _, _, err := f.command.Rotate(t.Context(), id, 0); err != nil {
				t.Fatal(err)
			}
		},
		"deleted": func(id string) { execute(t, f.db.url, `DELETE FROM keys WHERE id = '`+id+`'`) },
	}
	for what, do := range change {
		record, text := create(t, f.command)
		one.want(t, text, Valid)
		name, value := f.value(t, text)
		kept[what] = replay{text, name, value}
		do(record.ID)
	}
	for range 5 {
		create(t, f.command)
	}
	all := []*rig{one, two, three, f.instance(t), f.instanceWith(t, patient, forgetful)}
	for i, r := range all {
		r.poll(t)
		for what, k := range kept {
			if err := f.redis.Client.Set(t.Context(), k.name, k.value, 0).Err(); err != nil {
				t.Fatal(err)
			}
			answer := r.find(t, k.text)
			rights := answer.Record.HasPermissions([]string{"users:read"})
			wanted := map[string]State{"revoked": Revoked, "fewer rights": Valid, "rotated": Expired, "deleted": Unknown}[what]
			if answer.State != wanted || what == "fewer rights" && rights {
				t.Errorf("instance %d, %s: %s, with its rights: %v", i, what, answer.State, rights)
			}
		}
		if i > 0 && r.values(valueOutdated) != 4 {
			t.Errorf("instance %d: %v outdated values, want 4", i, r.values(valueOutdated))
		}
	}
}

// TestValuesOfAnotherDatabase: two databases on one Redis, with one secret and
// so the same ids of imported keys, have nothing of each other.
func TestValuesOfAnotherDatabase(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	other := fleet{db: database{url: f.db.another(t)}, redis: f.redis, url: f.url}
	other.command = other.open(t, patient)
	imports := readCSV(t, "name,key\ntheirs,"+foreign)
	records, err := f.command.Import(t.Context(), imports)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.command.Import(t.Context(), imports); err != nil {
		t.Fatal(err)
	}
	if _, err := other.command.Revoke(t.Context(), records[0].ID); err != nil {
		t.Fatal(err)
	}
	f.instance(t).want(t, foreign, Valid)
	eventually(t, func() bool { return len(f.names(t, records[0].ID)) == 1 })
	// Not by its name, nor under the other's.
	mine := f.names(t, records[0].ID)[0]
	other.instance(t).want(t, foreign, Revoked)
	eventually(t, func() bool { return len(f.names(t, records[0].ID)) == 2 })
	for _, name := range f.names(t, records[0].ID) {
		if err := f.redis.Client.Copy(t.Context(), mine, name, 0, true).Err(); name != mine && err != nil {
			t.Fatal(err)
		}
	}
	last := other.instance(t)
	last.want(t, foreign, Revoked)
	if last.values(valueForged) != 1 {
		t.Errorf("%v forged values, want the other database's", last.values(valueForged))
	}
}

// renamed is a Store whose database is another one since.
type renamed struct {
	source
	name func() string
}

func (r renamed) identity(context.Context) (string, error) { return r.name(), nil }

// TestPromotedReplicaIsAnotherDatabase: after an outage that ends with another
// database, nothing that was read of the one before is believed.
func TestPromotedReplicaIsAnotherDatabase(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	names := make(chan string, 2)
	names <- "primary"
	names <- "replica"
	r := f.instanceWith(t, patient, func(r *rig) { r.tap.source = renamed{r.tap.source, func() string { return <-names }} })
	_, text := create(t, f.command)
	r.want(t, text, Valid)
	f.value(t, text)
	r.tap.refused.Store(true)
	eventually(t, func() bool { return r.health.Load().err != nil })
	r.tap.refused.Store(false)
	eventually(t, func() bool { return len(names) == 0 && r.health.Load().err == nil })
	r.poll(t)
	r.wantFrom(t, text, Valid, layerDatabase)
	eventually(t, func() bool { return len(f.names(t, "*")) == 2 })
}

// TestIdentityNeedsNoRights: any role can read which database it is, and two
// databases of one server are two.
func TestIdentityNeedsNoRights(t *testing.T) {
	t.Parallel()
	db := newPostgres(t)
	store := openStore(t, db.url)
	one, err := store.identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	two, err := openStore(t, db.another(t)).identity(t.Context())
	if err != nil || one == two || strings.Count(one, ":") != 3 {
		t.Errorf("%q and %q, %v; want two names of four parts", one, two, err)
	}
	conn, err := openRaw(t, db.url).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, statement := range []string{`CREATE ROLE plain_` + one[len(one)-5:], `SET ROLE plain_` + one[len(one)-5:]} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	var plain string
	if err := conn.QueryRowContext(t.Context(), postgresDialect.identity).Scan(&plain); err != nil || plain != one {
		t.Errorf("a role without rights reads %q, %v; want %q", plain, err, one)
	}
}

// TestMadeUpKeysDoNotFillRedis: nothing is written there that a client has made up.
func TestMadeUpKeysDoNotFillRedis(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	r := f.instance(t)
	together(3000, 64, func(int) { r.want(t, unknownKey(t), Unknown) })
	_, text := create(t, f.command)
	r.want(t, text, Valid)
	f.value(t, text)
	if size := f.redis.Client.DBSize(t.Context()).Val(); size != 1 {
		t.Errorf("Redis holds %d values, want the one key's", size)
	}
}

// TestRedisHoldsNoKey: neither what is kept there nor what is said to it.
func TestRedisHoldsNoKey(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	r := f.instance(t)
	record, text := create(t, f.command)
	_, rotated, err := f.command.Rotate(t.Context(), record.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	r.want(t, text, Valid)
	r.want(t, rotated.Reveal(), Valid)
	name, value := f.value(t, text)
	held := name + value
	for _, key := range []string{text, rotated.Reveal()} {
		holdsNothingOf(t, held, key)
		plain := digestOf(key)
		if strings.Contains(held, fmt.Sprintf("%x", plain)) || strings.Contains(held, string(plain[:])) {
			t.Error("Redis holds an unkeyed hash")
		}
	}
	if strings.Contains(held, testSecret) {
		t.Error("Redis holds the secret")
	}
}

// TestSQLiteNeedsNoRedis: its file is nearer, so nothing is asked of Redis.
func TestSQLiteNeedsNoRedis(t *testing.T) {
	store, err := Open(t.Context(), Settings{DatabaseURL: "sqlite:" + newPath(t), RedisURL: "redis://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	cache, err := NewCache(store, Settings{}, time.Now, discard(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	run(t, cache)
	_, text := create(t, store)
	if answer, err := cache.Find(t.Context(), text); err != nil || answer.State != Valid || cache.shared != nil {
		t.Errorf("%s, %v", answer.State, err)
	}
}

// TestRedisSettingsThatAreNone are refused, and not repeated.
func TestRedisSettingsThatAreNone(t *testing.T) {
	url := newPostgres(t).url
	for want, settings := range map[string]Settings{
		"GATEWRIGHT_KEYS_REDIS_TIMEOUT=-1s": {RedisURL: "redis://localhost", RedisTimeout: -time.Second},
		"must begin with redis://":          {RedisURL: "http://:hunter2@localhost"},
	} {
		settings.DatabaseURL, settings.Secret = url, testSecret
		store, err := Open(t.Context(), settings)
		if err == nil {
			store.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Open = %v, want %q", err, want)
		}
	}
}
