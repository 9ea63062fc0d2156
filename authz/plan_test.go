package authz

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewright/gatewright/config"
)

// planned is a limit with the plans gold and free.
func planned(name string, parts ...config.KeyPart) *config.Limit {
	l := limitBy(name, parts...)
	plan := func(n int64) *config.LimitPlan {
		return &config.LimitPlan{TokenBucket: &config.TokenBucket{Capacity: n, Refill: config.Rate{Events: n, Per: time.Second}}}
	}
	l.Plans = map[string]*config.LimitPlan{"gold": plan(50), "free": plan(5)}
	return l
}

// ownNumbers are those that the tenant initech has of its own.
var ownNumbers = config.Numbers{Bucket: config.TokenBucket{Capacity: 7, Refill: config.Rate{Events: 8, Per: time.Minute}}}

func tenants(name string) Tenant {
	return map[string]Tenant{
		"globex":  {Plan: "gold"},
		"acme":    {Plan: "free"},
		"initech": {Plan: "gold", Limits: map[string]config.Numbers{"t": ownNumbers, "ip": ownNumbers}},
		"hooli":   {Plan: "platinum"},
	}[name]
}

// planJWT is a provider whose tokens name plans.
func planJWT() *config.JWT {
	p := mainJWT()
	p.PlanClaim = "plan"
	return p
}

// gateOfPlans has the tenants, and keys of theirs.
func gateOfPlans(t *testing.T, change func(*Options)) *gate {
	g := newGate(t, keySetsFor(t, planJWT()), func(o *Options) {
		o.Tenant = tenants
		if change != nil {
			change(o)
		}
	})
	for key, record := range map[string]APIKeyRecord{
		"gw_own":      {ID: "k3", Tenant: "globex", Plan: "free"},
		"gw_same":     {ID: "k4", Tenant: "globex", Plan: "gold"},
		"gw_odd_plan": {ID: "k5", Tenant: "globex", Plan: "platinum"},
		"gw_initech":  {ID: "k6", Tenant: "initech", Plan: "free"},
		"gw_hooli":    {ID: "k7", Tenant: "hooli"},
		"gw_alone":    {ID: "k8", Plan: "gold"},
	} {
		g.store.records[key], g.store.states[key] = record, Valid
	}
	return g
}

// Whose plan counts: the tenant's own numbers, then the credential's plan, then
// that of the tenant's record; and never what the limit does not name.
func TestWhichPlanCounts(t *testing.T) {
	t.Parallel()
	g := gateOfPlans(t, nil)
	// By tenant, by user, by a claim; by address, where nobody has a plan; and one
	// without plans.
	limits := []*config.Limit{planned("t", "tenant"), planned("u", "user", "route"), planned("c", "claim:org"), limitBy("ip", "clientIP"), limitBy("p", "tenant")}
	hash := g.publish(&Policy{AnyOf: []Requirement{{JWT: planJWT()}, {APIKey: partnersKey()}}, Limits: limits})
	token := func(tenant, plan any) line {
		return withToken(rsaSigner().token(map[string]any{"tenant": tenant, "plan": plan}))
	}
	for name, c := range map[string]struct {
		credential line
		want       string // of each limit, as it travels
		plan       string
	}{
		"a key of a tenant in a plan":                    {withKey("gw_good"), "gold gold gold . .", "gold"},
		"a key of nobody":                                {withKey("gw_bare"), ". . . . .", ""},
		"a key with a plan of its own":                   {withKey("gw_own"), "+free free +free . .", "free"},
		"a key with its tenant's plan":                   {withKey("gw_same"), "gold gold gold . .", "gold"},
		"a key with a plan that no limit names":          {withKey("gw_odd_plan"), "+ . + . .", "platinum"},
		"a key with a plan, and no tenant":               {withKey("gw_alone"), "+gold gold +gold . .", "gold"},
		"a tenant with numbers of its own":               {withKey("gw_initech"), "7,8/m free +free . .", "free"},
		"a tenant in a plan that no limit names":         {withKey("gw_hooli"), ". . . . .", "platinum"},
		"a token of a tenant in a plan":                  {token("acme", nil), "free free free . .", "free"},
		"a token with a plan of its own":                 {token("acme", "gold"), "+gold gold +gold . .", "gold"},
		"a token with its tenant's plan":                 {token("acme", "free"), "free free free . .", "free"},
		"a token with an empty plan":                     {token("acme", ""), "free free free . .", "free"},
		"a token with a plan, of a tenant without":       {token("nowhere", "gold"), "+gold gold +gold . .", "gold"},
		"a token of nobody's with a plan nobody has":     {token(nil, "Gold"), ". . . . .", "Gold"},
		"a token of a tenant with numbers and of a plan": {token("initech", "gold"), "7,8/m gold gold . .", "gold"},
	} {
		before := len(g.limiter.taken)
		r := g.check(t, ask(hash, "/", c.credential))
		if !allows(r) || len(g.limiter.taken) != before+1 {
			t.Errorf("%s: %s", name, reasonOf(r))
			continue
		}
		var got []string
		for _, charge := range g.limiter.taken[before] {
			text := charge.Allowance.String()
			if text == "" {
				text = "."
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if plan := r.GetDynamicMetadata().GetFields()["plan"].GetStringValue(); plan != c.plan {
			t.Errorf("%s: plan %q in the metadata, want %q", name, plan, c.plan)
		}
	}
}

// A claim that is no text is no plan, and no token that was issued for this.
func TestPlanClaimsThatAreNone(t *testing.T) {
	t.Parallel()
	g := gateOfPlans(t, nil)
	hash := g.publish(&Policy{AnyOf: []Requirement{{JWT: planJWT()}}, Limits: []*config.Limit{planned("t", "tenant")}})
	for _, plan := range []any{7, true, []any{"gold"}, map[string]any{"name": "gold"}} {
		r := g.check(t, ask(hash, "/", withToken(rsaSigner().token(map[string]any{"plan": plan}))))
		if statusOf(r) != 401 || reasonOf(r) != ReasonTokenClaimsInvalid {
			t.Errorf("%v: %d %s", plan, statusOf(r), reasonOf(r))
		}
	}
	// The same token is good for a provider that names no claim, and has no plan by it.
	plain := g.publish(&Policy{AnyOf: []Requirement{{JWT: mainJWT()}}, Limits: []*config.Limit{planned("t", "tenant")}})
	if r := g.check(t, ask(plain, "/", withToken(rsaSigner().token(map[string]any{"plan": "gold"})))); !allows(r) || g.limiter.taken[0][0].Allowance.Plan != "free" {
		t.Errorf("%s, %v", reasonOf(r), g.limiter.taken)
	}
}

// An issuer's answer about an opaque token names a plan, too.
func TestPlanOfAnIntrospectedToken(t *testing.T) {
	t.Parallel()
	q := &Requirement{Introspection: &config.Introspection{Name: "i", PlanClaim: "tier"}}
	c, refused := callerOf(claims{"tier": "gold", "tenant": "acme"}, &credentials{request: &request{}}, q)
	if refused != nil || c.Plan != "gold" {
		t.Errorf("%+v, %v", c, refused)
	}
}

// What Envoy's own filter is told of plans is what Check would charge by.
func TestPlansInFilter(t *testing.T) {
	t.Parallel()
	g := gateOfPlans(t, nil)
	hash := g.publish(&Policy{AnyOf: []Requirement{{APIKey: partnersKey()}}, LimitsInFilter: true,
		Limits: []*config.Limit{planned("t", "tenant"), planned("u", "user"), limitBy("p", "tenant")}})
	for key, want := range map[string]map[string]any{
		"gw_good":    {"t": "gold", "u": "gold"},
		"gw_own":     {"t": "+free", "u": "free"},
		"gw_initech": {"t": "7,8/m", "u": "free"},
	} {
		got, _ := g.check(t, ask(hash, "/", withKey(key))).GetDynamicMetadata().AsMap()["limit_plans"].(map[string]any)
		if len(got) != len(want) || got["t"] != want["t"] || got["u"] != want["u"] {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
	}
	r := g.check(t, ask(hash, "/", withKey("gw_bare")))
	if _, there := r.GetDynamicMetadata().AsMap()["limit_plans"]; there || !allows(r) {
		t.Errorf("plans of nobody: %v", r)
	}
}

// A plan that the config does not have is told once, counted each time, and
// denies nobody.
func TestUnknownPlansAreTold(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	registry := prometheus.NewRegistry()
	g := gateOfPlans(t, func(o *Options) {
		o.KnownPlan = func(plan string) bool { return plan == "gold" || plan == "free" }
		o.Log, o.Registerer = slog.New(slog.NewTextHandler(&log, nil)), registry
	})
	limited := g.publish(&Policy{AnyOf: []Requirement{{JWT: planJWT()}, {APIKey: partnersKey()}}, Limits: []*config.Limit{planned("t", "tenant")}})
	unlimited := g.publish(&Policy{AnyOf: []Requirement{{APIKey: partnersKey()}}})
	for range 3 {
		for _, key := range []string{"gw_hooli", "gw_good", "gw_own", "gw_bare"} {
			if r := g.check(t, ask(limited, "/", withKey(key))); !allows(r) {
				t.Fatalf("%s: %s", key, reasonOf(r))
			}
		}
		g.check(t, ask(unlimited, "/", withKey("gw_odd_plan")))
	}
	if n := testutil.ToFloat64(g.server.plans.count); n != 3 {
		t.Errorf("%v counted, want 3", n)
	}
	if n := strings.Count(log.String(), "plan=platinum"); n != 1 {
		t.Errorf("told %d times:\n%s", n, &log)
	}
	for i := range 2 * maxPlansTold { // made up by an issuer
		name := strings.Repeat("x", 200) + string(rune('A'+i))
		if r := g.check(t, ask(limited, "/", withToken(rsaSigner().token(map[string]any{"plan": name})))); !allows(r) {
			t.Fatal(reasonOf(r))
		} else if shown := r.GetDynamicMetadata().GetFields()["plan"].GetStringValue(); len(shown) != maxPlanShown {
			t.Errorf("the metadata has a plan of %d bytes", len(shown))
		}
	}
	if n := strings.Count(log.String(), "no limit of the config names the plan"); n != maxPlansTold {
		t.Errorf("%d lines, want no more than %d", n, maxPlansTold)
	}
}

// What is agreed on with tenants changes nothing of a policy; what the config says
// of plans does.
func TestPlansAreInTheHash(t *testing.T) {
	t.Parallel()
	policy := func(change func(*config.Limit, *config.JWT)) string {
		l, p := planned("t", "tenant"), planJWT()
		change(l, p)
		return (&Policy{AnyOf: []Requirement{{JWT: p}}, Limits: []*config.Limit{l}}).Hash()
	}
	same := policy(func(*config.Limit, *config.JWT) {})
	seen := map[string]int{same: -1}
	for i, change := range []func(*config.Limit, *config.JWT){
		func(l *config.Limit, _ *config.JWT) { l.Plans["gold"].TokenBucket.Capacity++ },
		func(l *config.Limit, _ *config.JWT) { l.Plans["gold"].TokenBucket.Refill.Events++ },
		func(l *config.Limit, _ *config.JWT) { delete(l.Plans, "gold") },
		func(l *config.Limit, _ *config.JWT) { l.Plans["tin"] = l.Plans["gold"] },
		func(_ *config.Limit, p *config.JWT) { p.PlanClaim = "tier" },
	} {
		hash := policy(change)
		if other, ok := seen[hash]; ok {
			t.Errorf("change %d has the hash of change %d", i, other)
		}
		seen[hash] = i
	}
}
