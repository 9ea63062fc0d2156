package keys

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestCreatedKeyIsReadBack(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		store := openStore(t, db.url)
		store.now = func() time.Time { return noon.Add(123456789) }
		record, secret, err := store.Create(t.Context(), Spec{
			Name: "Zürich", Owner: "ops", Tenant: "acme",
			Permissions: []string{"b", "a", "b"},
			ExpiresAt:   noon.Add(time.Hour).In(time.FixedZone("east", 3600)),
		})
		if err != nil {
			t.Fatal(err)
		}
		read, err := store.ByID(t.Context(), record.ID)
		if err != nil || !reflect.DeepEqual(read, record) {
			t.Errorf("ByID = %+v, %v; want %+v", read, err, record)
		}
		if !reflect.DeepEqual(read.Permissions, []string{"a", "b"}) || !read.ExpiresAt.Equal(noon.Add(time.Hour)) {
			t.Errorf("read %+v", read)
		}
		if parsed, ok := Parse(secret.Reveal()); !ok || parsed.ID != record.ID {
			t.Errorf("the secret is of key %v, %v; want %s", parsed, ok, record.ID)
		}
	})
}

func TestRecordInJSON(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		store := openStore(t, db.url)
		store.now = func() time.Time { return noon }
		record, _, err := store.Create(t.Context(), Spec{Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(record)
		want := `{"id":"` + record.ID + `","name":"x","permissions":[],"createdAt":"2026-03-01T12:00:00Z"}`
		if err != nil || string(text) != want {
			t.Errorf("%s, %v; want %s", text, err, want)
		}
	})
}

func TestCreateRefusesABadSpec(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		store := openStore(t, db.url)
		if _, _, err := store.Create(t.Context(), Spec{}); err == nil || !strings.Contains(err.Error(), "creating a key: name: missing") {
			t.Errorf("Create = %v, want the fault", err)
		}
		if records, err := store.List(t.Context(), Filter{}); err != nil || len(records) != 0 {
			t.Errorf("List = %v, %v; want nothing", records, err)
		}
	})
}

func TestRevokeIsForGoodAndRepeatable(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		store := openStore(t, db.url)
		record, _ := create(t, store)
		now := record.CreatedAt.Add(time.Minute)
		store.now = func() time.Time { return now }
		first, err := store.Revoke(t.Context(), record.ID)
		if err != nil || !first.RevokedAt.Equal(now) {
			t.Fatalf("Revoke = %+v, %v; want it revoked at %v", first, err, now)
		}
		now = now.Add(time.Minute)
		again, err := store.Revoke(t.Context(), record.ID)
		if err != nil || !reflect.DeepEqual(again, first) {
			t.Errorf("Revoke again = %+v, %v; want %+v", again, err, first)
		}
	})
}

func TestUnknownIDsAreNotFound(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		store := openStore(t, db.url)
		_, text := create(t, store)
		for _, id := range []string{"", "x", strings.Repeat("0", idChars), strings.Repeat("0", 1<<16), "' OR 1=1 --", text} {
			for verb, do := range map[string]func() error{
				"ByID":   func() error { _, err := store.ByID(t.Context(), id); return err },
				"Revoke": func() error { _, err := store.Revoke(t.Context(), id); return err },
			} {
				err := do()
				if !errors.Is(err, ErrNotFound) {
					t.Errorf("%s(%.30q) = %v, want ErrNotFound", verb, id, err)
				} else if len(err.Error()) > 200 || strings.Contains(err.Error(), text[20:]) {
					t.Errorf("%s(%.30q) repeats what it was given: %v", verb, id, err)
				}
			}
		}
	})
}

func TestListFilters(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		store := openStore(t, db.url)
		now := noon
		store.now = func() time.Time { now = now.Add(time.Second); return now }
		ids := map[string]string{}
		for _, spec := range []Spec{
			{Name: "a", Tenant: "acme", Owner: "ops"},
			{Name: "b", Tenant: "acme", Owner: "dev"},
			{Name: "c", Tenant: "other", Owner: "dev"},
			{Name: "expired", Tenant: "acme", ExpiresAt: noon.Add(time.Minute)},
			{Name: "revoked", Tenant: "acme"},
		} {
			record, _, err := store.Create(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			ids[record.Name] = record.ID
		}
		if _, err := store.Revoke(t.Context(), ids["revoked"]); err != nil {
			t.Fatal(err)
		}
		now = noon.Add(time.Hour)
		for _, c := range []struct {
			filter Filter
			want   string
		}{
			{Filter{}, "a b c expired revoked"},
			{Filter{Active: true}, "a b c"},
			{Filter{Tenant: "acme"}, "a b expired revoked"},
			{Filter{Owner: "dev"}, "b c"},
			{Filter{Tenant: "acme", Owner: "dev", Active: true}, "b"},
			{Filter{Tenant: "nobody"}, ""},
		} {
			records, err := store.List(t.Context(), c.filter)
			if err != nil || names(records) != c.want {
				t.Errorf("List(%+v) = %q, %v; want %q", c.filter, names(records), err, c.want)
			}
		}
	})
}

func names(records []Record) string {
	var names []string
	for _, r := range records {
		names = append(names, r.Name)
	}
	return strings.Join(names, " ")
}

func TestUnreadableRecordsAreNamed(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		store := openStore(t, db.url)
		record, _ := create(t, store)
		for _, change := range []string{
			`UPDATE keys SET hash = 'md5:00'`,
			`UPDATE keys SET hash = 'sha256:00'`,
			`UPDATE keys SET hash = 'sha256:` + strings.Repeat("x", 64) + `'`,
			`UPDATE keys SET hash = 'sha256:` + strings.Repeat("0", 64) + `', permissions = 'users:read'`,
		} {
			execute(t, db.url, change)
			if _, err := store.ByID(t.Context(), record.ID); !errors.Is(err, errUnreadable) || !strings.Contains(err.Error(), record.ID) {
				t.Errorf("%s: ByID = %v, want it unreadable", change, err)
			}
		}
	})
}

func TestEveryWriteIsInTheFeed(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		store := openStore(t, db.url)
		record, _ := create(t, store)
		other, _ := create(t, store)
		var last int64
		for _, write := range []string{
			`UPDATE keys SET revoked_at = 1 WHERE id = '` + record.ID + `'`,
			`UPDATE keys SET permissions = '[]' WHERE id = '` + record.ID + `'`,
			`DELETE FROM keys WHERE id = '` + record.ID + `'`,
			`INSERT INTO keys (id, hash, name, owner, tenant, permissions, created_at)
				SELECT '` + record.ID + `', 'x', name, owner, tenant, permissions, 0 FROM keys`,
		} {
			end, err := store.newestChange(t.Context())
			before := end.seq
			if err != nil || before <= last {
				t.Fatalf("newestChange = %d, %v; want more than %d", before, err, last)
			}
			last = before
			execute(t, db.url, write)
			changes, err := store.changesAfter(t.Context(), before, 10)
			if err != nil || len(changes) != 1 || changes[0].id != record.ID || changes[0].seq <= before {
				t.Errorf("%s: changes = %+v, %v; want one of %s", write, changes, err, record.ID)
			}
		}
		all, err := store.changesAfter(t.Context(), 0, 10)
		if err != nil || len(all) != 2 || all[0].id != other.ID || all[0].record == nil {
			t.Errorf("changes = %+v, %v; want the last of each key", all, err)
		}
	})
}
