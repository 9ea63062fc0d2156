package xds

import (
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	modulefilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/dynamic_modules/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// rememberedPolicies are those of somePolicies, of which the module remembers both that
// take tokens; one of them has a limit, and takes keys, too.
func rememberedPolicies() []*PlacedPolicy {
	all := somePolicies()
	for _, p := range all[:2] {
		p.Module = "/lib/gatewright.so"
	}
	all[1].Absent = []string{"x-api-key", "x-key"}
	all[1].Limit = &config.Limit{Name: "per-user"}
	return all
}

// knownState is one in which all of them are judged.
func knownState() PlacedState {
	return PlacedState{Open: map[string]bool{}, Digests: map[string]string{"m": "km", "p": "kp"}, Version: "v7"}
}

// TestWhatTheModuleIsTold: a line for each policy that it remembers; the file, and whether
// it stays loaded.
func TestWhatTheModuleIsTold(t *testing.T) {
	t.Parallel()
	s := set{next: Resources{}}
	addPlaced(&s, rememberedPolicies(), knownState())
	served := s.next[resource.ExtensionConfigType][memoryFilter].Message.(*corev3.TypedExtensionConfig)
	var filter modulefilterv3.DynamicModuleFilter
	if err := served.GetTypedConfig().UnmarshalTo(&filter); err != nil {
		t.Fatal(err)
	}
	module := filter.GetDynamicModuleConfig()
	if file := module.GetModule().GetLocal().GetFilename(); file != "/lib/gatewright.so" || !module.GetDoNotClose() {
		t.Errorf("the module is %v", module)
	}
	var table wrapperspb.StringValue
	if err := filter.GetFilterConfig().UnmarshalTo(&table); err != nil {
		t.Fatal(err)
	}
	epochs := Epochs(rememberedPolicies(), knownState())
	want := "version 1\nconfig v7\npolicy guarded " + epochs["guarded"] + " - -\npolicy either " + epochs["either"] + " per-user x-api-key,x-key\n"
	if table.GetValue() != want {
		t.Errorf("the table is\n%s\nwant\n%s", table.GetValue(), want)
	}
	rules, providers := servedRulesOf(t, rememberedPolicies(), knownState())
	if rules != "-public" || providers != "" {
		t.Errorf("filters judge, too: rules %q, providers %q", rules, providers)
	}
}

// TestEpochs: whatever a policy's verdicts depend on makes its epoch another, and nothing
// else does; and where nothing can be said of some of its tokens it has none.
func TestEpochs(t *testing.T) {
	t.Parallel()
	usual := Epochs(rememberedPolicies(), knownState())
	if len(usual) != 2 || usual["guarded"] == usual["either"] {
		t.Fatalf("the epochs are %v", usual)
	}
	at := time.Unix(1_700_000_000, 5)
	one, other := PlacedRevocation{Issuer: "http://partner", Subject: "bob", IssuedBefore: at}, PlacedRevocation{Issuer: "http://partner", ID: "one"}
	revoked := func(all ...PlacedRevocation) func(*PlacedState) { return func(s *PlacedState) { s.Revoked = all } }
	both := knownState()
	revoked(one, other)(&both)
	for name, c := range map[string]struct {
		change func(*PlacedState)
		// what becomes of the epochs of both policies.
		guarded, either string
	}{
		"the version of the config":    {func(s *PlacedState) { s.Version = "v8" }, "same", "same"},
		"time":                         {func(s *PlacedState) { s.IssuedBefore = at }, "same", "same"},
		"a key":                        {func(s *PlacedState) { s.Digests["m"] = "other" }, "other", "other"},
		"a key of partner":             {func(s *PlacedState) { s.Digests["p"] = "other" }, "same", "other"},
		"no keys":                      {func(s *PlacedState) { delete(s.Digests, "p") }, "same", "none"},
		"a revocation":                 {revoked(one), "same", "other"},
		"one of nobody's":              {revoked(PlacedRevocation{Issuer: "http://else", ID: "one"}), "same", "same"},
		"a breaker":                    {func(s *PlacedState) { s.Open["app"] = true }, "none", "same"},
		"a breaker of nobody's":        {func(s *PlacedState) { s.Open["other"] = true }, "same", "same"},
		"breakers that are not known":  {func(s *PlacedState) { s.Open = nil }, "none", "same"},
		"nobody knows what is revoked": {func(s *PlacedState) { s.RevocationsUnknown = true }, "none", "none"},
	} {
		state := knownState()
		c.change(&state)
		got := Epochs(rememberedPolicies(), state)
		for policy, want := range map[string]string{"guarded": c.guarded, "either": c.either} {
			is := "other"
			switch got[policy] {
			case "":
				is = "none"
			case usual[policy]:
				is = "same"
			}
			if is != want {
				t.Errorf("%s: the epoch of %s is %s (%s), want %s", name, policy, is, got[policy], want)
			}
		}
	}
	// Machines that hear of the same in another order, or in another time zone, agree.
	elsewhere := knownState()
	moved := one
	moved.IssuedBefore = at.In(time.FixedZone("elsewhere", 3600))
	revoked(other, moved)(&elsewhere)
	if a, b := Epochs(rememberedPolicies(), both)["either"], Epochs(rememberedPolicies(), elsewhere)["either"]; a != b {
		t.Errorf("the epochs of two machines are %s and %s", a, b)
	}
}

// TestWhyRememberedAreAsked: the reasons are those of the module, which takes tokens of
// keys without a kid, and any number of revocations.
func TestWhyRememberedAreAsked(t *testing.T) {
	t.Parallel()
	state := knownState()
	state.Revoked, state.Nameless = revokedTokens("http://partner", 65), map[string]int{"m": 1}
	if all := WhyAskedNow(rememberedPolicies(), state); len(all) > 0 {
		t.Errorf("asked about since %v", all)
	}
	state.Digests, state.Open = nil, map[string]bool{"app": true}
	var reasons []string
	for _, a := range WhyAskedNow(rememberedPolicies(), state) {
		reasons = append(reasons, a.Reason)
	}
	const want = "no keys of jwt main are known; no keys of jwt partner are known; the breaker of backend app is not closed"
	if got := strings.Join(reasons, "; "); got != want {
		t.Errorf("the reasons are %q, want %q", got, want)
	}
}
