package test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// version is that of the config that a gateway serves.
func (g *gateway) version() string {
	g.t.Helper()
	var status struct{ Config struct{ Version string } }
	if err := json.Unmarshal([]byte(get(g.t, "http://"+g.admin+"/api/v1/status").ok(g.t).Body), &status); err != nil || status.Config.Version == "" {
		g.t.Fatalf("the status has the version %q: %v", status.Config.Version, err)
	}
	return status.Config.Version
}

// configTold puts one word in the place of the version of the config that a gateway
// serves, since gateways with different placements have different ones.
func configTold(line logLine, version string) {
	if line["config"] == version {
		line["config"] = "the one that is served"
	}
}

// TestTheLogHasTheConfigsVersion: whoever has judged a request, its line says by which
// config.
func TestTheLogHasTheConfigsVersion(t *testing.T) {
	t.Parallel()
	g, p, _ := startTokens(t)
	alice := bearer(token(t, p, "sub=alice", "scope=users:read"))
	g.letsPass(func() reply { return get(t, g.url("public", "/users/0"), alice) })
	toldBy := func(path string) string {
		t.Helper()
		asked := g.hops()
		get(t, g.url("public", path), alice).ok(t)
		if n := g.hops(); n != asked {
			t.Errorf("the gateway was asked about %s", path)
		}
		return fmt.Sprint(g.logged(path)["config"])
	}
	before := g.version()
	if got := toldBy("/users/first"); got != before {
		t.Errorf("the line says config %s, want %s", got, before)
	}
	get(t, g.url("public", "/users/asked")).denied(t, 401, "credential-missing")
	if got := g.logged("/users/asked")["config"]; got != before {
		t.Errorf("of one that was asked about the line says config %v, want %s", got, before)
	}
	g.replace(strings.Replace(tokens, "  - name: users\n", "  - {name: more, match: {path: /more}, auth: public, to: [{backend: users}]}\n  - name: users\n", 1))
	n := 0
	eventually(t, "the line says the new config", func() error {
		n++
		after := g.version()
		got := toldBy(fmt.Sprint("/users/then", n))
		if after == before || got != after {
			return fmt.Errorf("the line says config %s, %s is served, and %s was", got, after, before)
		}
		return nil
	})
}
