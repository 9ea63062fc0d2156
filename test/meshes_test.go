package test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// meshed is the config of a Gatewright that judges for the Envoys of a mesh or an
// ingress controller, which have routes of their own.
const meshed = `
listeners:
  - {name: unused, address: "{{listen "unused"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
  fragile: {endpoints: ["{{.app}}"], breaker: {minRequests: 5, window: 1m, openFor: 1h}}
auth:
` + jwtMain + `      forward: {sub: X-User-ID}
limits:
  three-a-day: {key: [clientIP, route], tokenBucket: {capacity: 3, refill: 1/d}}
routes:
  - {name: open, match: {path: /public/**}, auth: public, to: [{backend: app}]}
  - {name: admin, match: {path: /admin/**}, auth: {anyOf: [{jwt: main, scopes: [admin]}]}, to: [{backend: app}]}
  - {name: few, match: {path: /few}, auth: public, limits: [three-a-day], to: [{backend: app}]}
  - {name: host, match: {hosts: [shop.example], methods: [POST], path: "/items/{id}"}, auth: {anyOf: [{jwt: main}]}, to: [{backend: app}]}
  - {name: fragile, match: {path: /fragile}, auth: public, to: [{backend: fragile}]}
`

// meshLimits is a file of envoyproxy/ratelimit, for the ratelimit filters of meshes.
const meshLimits = `
domain: mesh
descriptors:
  - {key: path, value: /public/limited, rate_limit: {unit: day, requests_per_unit: 2}}
`

// mesh is an Envoy as another project makes it.
type mesh struct {
	name string
	// logs tells that it sends its access logs here.
	logs bool
	// filter tells that it has a ratelimit filter.
	filter bool
	// escaped is how it answers a path with an escaped slash: some redirect, some
	// leave it to the judge.
	escaped int
	values  map[string]any
}

var meshes = []mesh{
	{"istio", true, true, 400, map[string]any{"ports": []int{9001, 9011}}},
	{"envoy-gateway", true, false, 307, map[string]any{"clusters": []string{"securitypolicy/default/gatewright/extauth/0", "accesslog_als_0_1"}}},
	{"contour", false, true, 400, nil},
}

// TestMeshes: an Envoy as Istio, Envoy Gateway and Contour make it is judged by the
// routes of Gatewright's own config, by host, method and path.
func TestMeshes(t *testing.T) {
	t.Parallel()
	for _, m := range meshes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			p, app := idp(t), backend(t, "app")
			limits := t.TempDir()
			if err := os.WriteFile(filepath.Join(limits, "mesh.yaml"), []byte(meshLimits), 0o600); err != nil {
				t.Fatal(err)
			}
			socket := filepath.Join(testenv.ShortDir(t), "judge")
			g := start(t, setup{config: meshed, serve: true, values: map[string]string{"issuer": p.Issuer(), "app": app.Addr()},
				env: []string{"GATEWRIGHT_GRPC_ADDR=unix:" + socket, "GATEWRIGHT_RATELIMIT_CONFIG_DIR=" + limits}})
			g.startMesh(m, app.Addr(), socket)

			admin := bearer(token(t, p, "sub=alice", "scope=admin"))
			url := func(path string) string { return g.url("mesh", path) }
			get(t, url("/public/a")).ok(t)
			get(t, url("/admin/a")).denied(t, 401, "credential-missing")
			get(t, url("/admin/a"), bearer(token(t, p, "sub=bob"))).denied(t, 403, "scope-missing")
			if e := get(t, url("/admin/a"), admin, header{"X-User-ID", "forged"}).ok(t).echo(t); e.header("X-User-ID") != "alice" || e.header("Authorization") != "" {
				t.Errorf("the backend sees user %q and credential %q", e.header("X-User-ID"), e.header("Authorization"))
			}
			if e := get(t, url("/public/a"), header{"X-User-ID", "forged"}).ok(t).echo(t); e.header("X-User-ID") != "" {
				t.Errorf("a public route passes the client's own X-User-ID %q on", e.header("X-User-ID"))
			}
			get(t, url("/nowhere"), admin).denied(t, 404, "route-not-found")
			do(t, "POST", url("/items/7"), header{"Host", "shop.example:8080"}).denied(t, 401, "credential-missing")
			do(t, "POST", url("/items/7"), header{"Host", "other.example"}, admin).denied(t, 404, "route-not-found")
			do(t, "POST", url("/items/7"), header{"Host", "shop.example"}, admin).ok(t)
			get(t, url("/public/../admin/a")).denied(t, 401, "credential-missing") // made normal by the Envoy
			if r := get(t, url("/public/..%2fadmin/a")); r.Status != m.escaped {
				t.Errorf("an escaped slash: %d, want %d; %s", r.Status, m.escaped, r.Body)
			}
			for range 3 {
				get(t, url("/few")).ok(t)
			}
			if r := get(t, url("/few")); r.denied(t, 429, "rate-limited").Status != 429 || r.Header.Get("Retry-After") == "" {
				t.Errorf("no Retry-After: %v", r.Header)
			}
			if m.filter {
				get(t, url("/public/limited")).ok(t)
				get(t, url("/public/limited")).ok(t)
				if r := get(t, url("/public/limited")); r.Status != 429 {
					t.Errorf("its ratelimit filter: %d, want 429", r.Status)
				}
			}
			if m.logs {
				eventually(t, "the breaker opens by the access logs", func() error {
					r := get(t, url("/fragile?status=500"))
					if r.Status != 503 {
						return errStatus(r)
					}
					r.denied(t, 503, "circuit-open")
					return nil
				})
				g.hasMetric(`gatewright_requests_total{backend="",code="401",route="admin"} 2`)
			}
		})
	}
}

// startMesh starts the Envoy of a mesh, and returns when it listens.
func (g *gateway) startMesh(m mesh, app, socket string) {
	g.t.Helper()
	addr := testenv.Addr(g.t)
	g.listeners["mesh"] = addr
	values := map[string]any{"judge": socket}
	for name, value := range m.values {
		values[name] = value
	}
	_, values["port"], _ = net.SplitHostPort(addr)
	_, values["app"], _ = net.SplitHostPort(app)
	foreignEnvoy(g.t, "testdata/meshes/"+m.name+".yaml", values, addr)
}
