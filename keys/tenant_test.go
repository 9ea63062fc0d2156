package keys

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
)

var bucket500 = config.Numbers{Bucket: config.TokenBucket{Capacity: 500, Refill: config.Rate{Events: 100, Per: time.Second}}}

func setTenant(t testing.TB, s *Store, name string, change func(*Tenant)) Tenant {
	t.Helper()
	made, err := s.SetTenant(context.Background(), name, change)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestTenantsAreSetListedAndRemoved(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		s := openStore(t, db.url).As("alice@ops")
		s.now = func() time.Time { return noon }
		if all, err := s.Tenants(t.Context()); err != nil || all == nil || len(all) != 0 {
			t.Errorf("tenants of a new database: %v, %v", all, err)
		}
		for name, do := range map[string]func() error{
			"show":   func() error { _, err := s.Tenant(t.Context(), "acme"); return err },
			"remove": func() error { _, err := s.RemoveTenant(t.Context(), "acme"); return err },
		} {
			if err := do(); !errors.Is(err, ErrNotFound) || !strings.HasSuffix(err.Error(), `tenant "acme": no such tenant`) {
				t.Errorf("%s: %v", name, err)
			}
		}
		want := Tenant{Name: "acme", Plan: "gold", Note: "since 2019", Limits: map[string]config.Numbers{"per-tenant": bucket500}, ChangedAt: noon}
		made := setTenant(t, s, "acme", func(t *Tenant) { t.Plan, t.Note, t.Limits = want.Plan, want.Note, want.Limits })
		setTenant(t, s, "Zürich & Söhne/1", func(t *Tenant) { t.Plan = "free" })
		read, err := s.Tenant(t.Context(), "acme")
		for what, got := range map[string]Tenant{"made": made, "read": read} {
			if err != nil || got.Name != want.Name || got.Plan != want.Plan || got.Note != want.Note || !maps.Equal(got.Limits, want.Limits) || !got.ChangedAt.Equal(noon) {
				t.Errorf("%s: %+v, %v; want %+v", what, got, err, want)
			}
		}
		// A change is given what is there, and keeps what it does not touch.
		setTenant(t, s, "acme", func(t *Tenant) { t.Plan = "" })
		all, err := s.Tenants(t.Context())
		if err != nil || len(all) != 2 || all[1].Name != "acme" && all[0].Name != "acme" {
			t.Fatalf("%+v, %v", all, err)
		}
		if got, _ := s.Tenant(t.Context(), "acme"); got.Plan != "" || got.Note != want.Note || len(got.Limits) != 1 {
			t.Errorf("%+v", got)
		}
		if gone, err := s.RemoveTenant(t.Context(), "acme"); err != nil || gone.Note != want.Note {
			t.Errorf("%+v, %v", gone, err)
		}
		if _, err := s.Tenant(t.Context(), "acme"); !errors.Is(err, ErrNotFound) {
			t.Errorf("a tenant that was removed: %v", err)
		}
		audited, err := s.Audit(t.Context(), AuditFilter{Tenant: "acme"})
		if err != nil {
			t.Fatal(err)
		}
		var actions []string
		for _, a := range audited {
			actions = append(actions, a.Action)
			if a.Actor != "alice@ops" || a.Tenant != "acme" || a.KeyID != "" {
				t.Errorf("audited: %+v", a)
			}
		}
		if !slices.Equal(actions, []string{"set-tenant", "set-tenant", "remove-tenant"}) || !strings.Contains(string(audited[0].Detail), `"per-tenant":"500,100/s"`) {
			t.Errorf("audited: %s, first %s", actions, audited[0].Detail)
		}
	})
}

func TestTenantsThatCannotBe(t *testing.T) {
	t.Parallel()
	s := openStore(t, newSQLite(t).url)
	for name, c := range map[string]struct {
		tenant string
		change func(*Tenant)
		want   string
	}{
		"no name":        {"", func(*Tenant) {}, "name: missing"},
		"a long name":    {strings.Repeat("x", 129), func(*Tenant) {}, "name: 129 bytes, at most 128"},
		"a line":         {"a\nb", func(*Tenant) {}, "must be printable text"},
		"plan":           {"a", func(t *Tenant) { t.Plan = "two words" }, `plan: "two words": a name has 1 to 63 letters`},
		"note":           {"a", func(t *Tenant) { t.Note = "a\tb" }, "note:"},
		"limit's name":   {"a", func(t *Tenant) { t.Limits = map[string]config.Numbers{"a b": bucket500} }, `limits: "a b": a name`},
		"limit's number": {"a", func(t *Tenant) { t.Limits = map[string]config.Numbers{"l": {}} }, "limits: l: must be a capacity and a refill"},
		"many limits": {"a", func(t *Tenant) {
			t.Limits = map[string]config.Numbers{}
			for i := range 65 {
				t.Limits[fmt.Sprint("l", i)] = bucket500
			}
		}, "limits: 65 of them, at most 64"},
	} {
		if _, err := s.SetTenant(t.Context(), c.tenant, c.change); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if all, err := s.Tenants(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
	if audited, err := s.Audit(t.Context(), AuditFilter{}); err != nil || len(audited) != 0 {
		t.Errorf("audited %+v, %v", audited, err)
	}
}

// Of changes at once none is lost.
func TestTenantsAreChangedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		const writers = 8
		var all sync.WaitGroup
		for i := range writers {
			s := openStore(t, db.url)
			all.Go(func() {
				_, err := s.SetTenant(context.Background(), "acme", func(t *Tenant) {
					if t.Limits == nil {
						t.Limits = map[string]config.Numbers{}
					}
					t.Limits[fmt.Sprint("l", i)] = bucket500
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got, err := openStore(t, db.url).Tenant(t.Context(), "acme"); err != nil || len(got.Limits) != writers {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// customersOf is a gateway's view of the tenants, kept current until the test ends.
func customersOf(t testing.TB, s tenantSource) *Customers {
	t.Helper()
	c := newCustomers(s, time.Now, discard())
	c.Start(t.Context())
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c
}

// planIn2s waits until a tenant is in a plan, and fails where that takes longer
// than promised. "none" is no record.
func planIn2s(t testing.TB, c *Customers, name, plan string) {
	t.Helper()
	began := time.Now()
	eventually(t, func() bool {
		asked, found := time.Now(), "none"
		if r := c.Find(name); r != nil {
			found = r.Plan
		}
		if found != plan && asked.Sub(began) > promised {
			t.Fatalf("%s is still in plan %q after %s, want %q", name, found, asked.Sub(began), plan)
		}
		return found == plan
	})
}

// A change by any process is known to every gateway in time, and so is one that
// was made by hand.
func TestEveryGatewaySeesChangesOfTenants(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		command := openStore(t, db.url)
		setTenant(t, command, "before", func(t *Tenant) { t.Plan = "gold" })
		var gateways [3]*Customers
		for i := range gateways {
			gateways[i] = customersOf(t, openStore(t, db.url))
			if r := gateways[i].Find("before"); r == nil || r.Plan != "gold" {
				t.Errorf("a gateway starts with %+v", r)
			}
		}
		seen := func(name, plan string) {
			t.Helper()
			for _, g := range gateways {
				planIn2s(t, g, name, plan)
			}
		}
		setTenant(t, command, "acme", func(t *Tenant) { t.Plan, t.Limits = "free", map[string]config.Numbers{"l": bucket500} })
		seen("acme", "free")
		if r := gateways[0].Find("acme"); r.Limits["l"] != bucket500 {
			t.Errorf("%+v", r)
		}
		setTenant(t, command, "acme", func(t *Tenant) { t.Plan = "gold" })
		seen("acme", "gold")
		if _, err := command.RemoveTenant(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		seen("acme", "none")
		execute(t, db.url, `INSERT INTO tenants (name, plan) VALUES ('hand', 'gold')`)
		seen("hand", "gold")
		execute(t, db.url, `UPDATE tenants SET name = 'other' WHERE name = 'hand'`)
		seen("hand", "none")
		seen("other", "gold")
		// What makes no sense counts as none, and can be removed.
		execute(t, db.url, `UPDATE tenants SET limits = '{"l": "many"}' WHERE name = 'other'`)
		seen("other", "none")
		seen("before", "gold")
		if _, err := command.Tenant(t.Context(), "other"); err == nil || !strings.Contains(err.Error(), `unreadable record of tenant "other": limits`) {
			t.Errorf("%v", err)
		}
		if _, err := command.RemoveTenant(t.Context(), "other"); err != nil {
			t.Error(err)
		}
		execute(t, db.url, `DELETE FROM tenants`)
		seen("before", "none")
	})
}

// heldBack is a source that fails while it is told to.
type heldBack struct {
	tenantSource
	mu  sync.Mutex // guards err
	err error
}

func (h *heldBack) set(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

func (h *heldBack) newestTenantChange(ctx context.Context) (int64, error) {
	h.mu.Lock()
	err := h.err
	h.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return h.tenantSource.newestTenantChange(ctx)
}

// Without the database what is known stays in force; many records are read in
// several reads; a feed that went backwards is read anew.
func TestCustomersOutliveTheDatabase(t *testing.T) {
	t.Parallel()
	db := newSQLite(t)
	s := openStore(t, db.url)
	const many = 2*changesBatch + 7
	execute(t, db.url, fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO tenants (name, plan) SELECT 't' || i, 'gold' FROM n`, many))
	source := &heldBack{tenantSource: s}
	c := customersOf(t, source)
	if c.len() != many {
		t.Fatalf("%d records, want %d", c.len(), many)
	}
	source.set(errors.New("down"))
	setTenant(t, s, "t1", func(t *Tenant) { t.Plan = "free" })
	before := c.synced.Load()
	if r := c.Find("t1"); r == nil {
		t.Error("a record is forgotten while the database is down")
	}
	source.set(nil)
	planIn2s(t, c, "t1", "free")
	if c.synced.Load() <= before {
		t.Error("the time of the last read has not moved")
	}
	// Another database in the place of this one: an older copy.
	execute(t, db.url, `DELETE FROM tenants WHERE name <> 't7'; DELETE FROM tenant_changes; UPDATE sqlite_sequence SET seq = 0 WHERE name = 'tenant_changes';
		UPDATE tenants SET plan = 'tin'`)
	planIn2s(t, c, "t7", "tin")
	planIn2s(t, c, "t8", "none")
}

// A key has the plan that it was made or imported with, wherever it is read.
func TestKeysHavePlans(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		s := openStore(t, db.url)
		made, secret, err := s.Create(t.Context(), Spec{Name: "n", Tenant: "acme", Plan: "gold"})
		if err != nil {
			t.Fatal(err)
		}
		imports, err := ReadCSV(strings.NewReader("name,key,plan\nold,sk_live_0123456789abcdef,free\n"))
		if err != nil {
			t.Fatal(err)
		}
		lines, err := ReadJSONLines(strings.NewReader(`{"name":"older","key":"sk_live_0123456789abcdeg","plan":"tin"}`))
		if err != nil {
			t.Fatal(err)
		}
		imported, err := s.Import(t.Context(), append(imports, lines...))
		if err != nil {
			t.Fatal(err)
		}
		for id, plan := range map[string]string{made.ID: "gold", imported[0].ID: "free", imported[1].ID: "tin"} {
			if r, err := s.ByID(t.Context(), id); err != nil || r.Plan != plan {
				t.Errorf("%+v, %v; want plan %s", r, err, plan)
			}
		}
		cache := newCache(s, Settings{}, time.Now, discard())
		run(t, cache)
		if found, err := cache.Find(t.Context(), secret.Reveal()); err != nil || found.Record.Plan != "gold" {
			t.Errorf("%+v, %v", found, err)
		}
		if _, _, err := s.Create(t.Context(), Spec{Name: "n", Plan: "no plan"}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), `plan: "no plan"`) {
			t.Errorf("%v", err)
		}
		if _, err := ReadCSV(strings.NewReader("name,key,plan\nold,sk_live_0123456789abcdef,a plan\n")); err == nil || !strings.Contains(err.Error(), `line 2: plan: "a plan"`) {
			t.Errorf("%v", err)
		}
	})
}
