package test

import (
	"net/http"
	"testing"
)

// TestAModuleThatIsNotThere: an Envoy that has not got the file of the config refuses it, says
// so, and goes on with the config before; and once the config has its file, it remembers.
func TestAModuleThatIsNotThere(t *testing.T) {
	t.Parallel()
	g, p, _ := startTokens(t)
	ask := func() reply {
		return get(t, g.url("public", "/users/1"), bearer(token(t, p, "sub=alice", "scope=users:read")))
	}
	ask().ok(t)
	g.write(tokens + "\nexperiments: {envoyModule: /nowhere/libgatewright.so}\n")
	g.statusSays("/nowhere/libgatewright.so")
	for range 5 {
		if r := ask(); r.Status != http.StatusOK {
			t.Error(errStatus(r))
		}
	}
	get(t, g.url("public", "/users/1"), bearer("x.y.z")).denied(t, 401, "token-malformed")
	g.write(tokens + moduleLine(t))
	raw := bearer(token(t, p, "sub=alice", "scope=users:read"))
	g.letsPass(func() reply { return get(t, g.url("public", "/users/1"), raw) })
}
