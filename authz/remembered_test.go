package authz

import (
	"fmt"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/gatewright/gatewright/config"
)

// rememberingVerdicts is a request whose Envoy remembers verdicts.
func rememberingVerdicts(m *authv3.CheckRequest) *authv3.CheckRequest {
	m.Attributes.ContextExtensions["remembers"] = "verdicts"
	return m
}

// TestWhatEnvoyMayRemember: what Check has done to a request, of those alone that pass by a
// token and nothing else, where all that was judged by is known.
func TestWhatEnvoyMayRemember(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	exp := now.Add(time.Hour)
	epochs := func(answers ...string) func(string) (string, uint64) {
		n := 0
		return func(string) (string, uint64) {
			a := answers[min(n, len(answers)-1)]
			n++
			epoch, generation, _ := strings.Cut(a, " ")
			return epoch, uint64(len(generation))
		}
	}
	always := epochs("e1 i")
	key := Requirement{APIKey: &config.APIKey{Name: "machines"}}
	token := withToken(rsaSigner().token(map[string]any{"sub": "alice", "exp": exp.Unix(), "iat": now.Unix()}))
	usual := &Policy{AnyOf: []Requirement{{JWT: mainJWT()}, key}}
	ruled := policyOf(&config.RouteAuth{AnyOf: []*config.Requirement{{JWT: "main", Rule: `request.method == "GET"`}}}, mainJWT())
	for name, c := range map[string]struct {
		policy  *Policy
		epoch   func(string) (string, uint64)
		plain   bool
		request []line
		told    bool
	}{
		"a token":                        {policy: usual, epoch: always, request: []line{token}, told: true},
		"an Envoy that does not":         {policy: usual, epoch: always, request: []line{token}, plain: true},
		"no epoch":                       {policy: usual, epoch: epochs(""), request: []line{token}},
		"what changes meanwhile":         {policy: usual, epoch: epochs("e1 i", "e2 ii"), request: []line{token}},
		"what changes, and back":         {policy: usual, epoch: epochs("e1 i", "e1 iii"), request: []line{token}},
		"what is not known afterwards":   {policy: usual, epoch: epochs("e1 i", ""), request: []line{token}},
		"a token that does not pass":     {policy: usual, epoch: always, request: []line{withToken("x.y.z")}},
		"nobody":                         {policy: &Policy{AnyOf: usual.AnyOf, AllowAnonymous: true}, epoch: always},
		"a policy with a rule":           {policy: ruled, epoch: always, request: []line{token}},
		"a policy with one in shadow":    {policy: &Policy{AnyOf: usual.AnyOf, Shadow: []Requirement{key}}, epoch: always, request: []line{token}},
		"a policy that joins":            {policy: &Policy{AnyOf: usual.AnyOf, AllOf: []Requirement{{JWT: mainJWT()}}}, epoch: always, request: []line{token}},
		"a limit that Check has charged": {policy: &Policy{AnyOf: usual.AnyOf, Limits: []*config.Limit{limitBy("per-user", config.KeyUser)}}, epoch: always, request: []line{token}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, keySetsFor(t, mainJWT()), func(o *Options) {
				o.Clock, o.Epoch, o.Limiter = func() time.Time { return now }, c.epoch, &fakeLimiter{answer: LimitResult{Allowed: true, Limit: "per-user"}}
			})
			m := ask(g.publish(c.policy), "/", c.request...)
			if !c.plain {
				m = rememberingVerdicts(m)
			}
			got := g.check(t, m).GetDynamicMetadata().GetFields()["remember"].GetStringValue()
			want := ""
			if c.told {
				want = fmt.Sprintf("epoch e1\nuntil %d\nuser alice\ntenant acme\nset x-user-role buyer\nset x-user-id alice\nremove authorization\nremove x-api-key\n",
					exp.Add(-rememberedEarly).UnixMilli())
			}
			if got != want {
				t.Errorf("told is\n%s\nwant\n%s", got, want)
			}
		})
	}
}
