package test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
)

// TestStatusTellsWherePoliciesRun: what runs inside Envoy is counted, and a breaker that is
// opened is told as what has its requests asked about, for as long as it is not closed.
func TestStatusTellsWherePoliciesRun(t *testing.T) {
	t.Parallel()
	p, app := idp(t), newScripted(t, good)
	g := start(t, setup{config: guarded, env: []string{"GATEWRIGHT_ADMIN_TOKEN=operator"}, values: map[string]string{"issuer": p.Issuer(), "app": app.addr, "auth": readers}})
	g.letsPass(func() reply {
		return get(t, g.url("public", "/app/1"), bearer(token(t, p, "sub=alice", "scope=users:read")))
	})
	type reason struct {
		Reason   string
		Routes   int
		Examples []string
	}
	says := func(want ...reason) {
		t.Helper()
		eventually(t, fmt.Sprintf("status says %v", want), func() error {
			var got struct {
				Placement []struct {
					InEnvoy, Asked struct{ Routes, Policies int }
				}
				AskedNow []reason
			}
			// It fails as long as an Envoy has not taken what is newest, as for a moment here.
			out, _ := g.command("status", "-o", "json").Output()
			if err := json.Unmarshal(out, &got); err != nil {
				return err
			}
			if len(got.Placement) != 1 || got.Placement[0].InEnvoy.Routes != 1 || got.Placement[0].Asked.Routes != 0 {
				t.Fatalf("where policies run: %+v", got.Placement)
			}
			if len(got.AskedNow)+len(want) > 0 && !reflect.DeepEqual(got.AskedNow, want) {
				return fmt.Errorf("it says %v", got.AskedNow)
			}
			return nil
		})
	}
	says()
	g.statusSays("1 route of 1 policy")
	g.run("breaker", "open", "app")
	says(reason{"the breaker of backend app is not closed", 1, []string{"app"}})
	g.run("breaker", "close", "app")
	says()
}
