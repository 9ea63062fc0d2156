package xds

import "testing"

// TestRewrittenPath: what Envoy makes of these paths, `test` TestRewrites asks a
// real one.
func TestRewrittenPath(t *testing.T) {
	const shop = "/shop/{id}/items/{item}/**"
	for _, c := range []struct{ from, to, path, want string }{
		{shop, "/v1/{item}/of/{id}/**", "/shop/7/items/ab", "/v1/ab/of/7"},
		{shop, "/v1/{item}/of/{id}/**", "/shop/7/items/ab/", "/v1/ab/of/7/"},
		{shop, "/v1/{item}/of/{id}/**", "/shop/7/items/a%20b/x/y", "/v1/a%20b/of/7/x/y"},
		{shop, "/v1/{item}/of/{id}/**", "/shop/$1/items/${2}/x", "/v1/${2}/of/$1/x"},
		{shop, "/$1/{id}", "/shop/7/items/ab", "/$1/7"},
		{"/api/v1.0/**", "/**", "/api/v1.0", "/"},
		{"/api/v1.0/**", "/**", "/api/v1.0/", "/"},
		{"/api/v1.0/**", "/**", "/api/v1.0/users/1", "/users/1"},
		{"/add/**", "/prefix/add/**", "/add", "/prefix/add"},
		{"/add/**", "/prefix/add/**", "/add/x", "/prefix/add/x"},
		{"/any/**", "/one", "/any/thing/at/all", "/one"},
		{"/m/{id}", "/members/{id}", "/m/5", "/members/5"},
	} {
		if got := RewrittenPath(c.from, c.to, c.path); got != c.want {
			t.Errorf("%s from %s to %s: %s, want %s", c.path, c.from, c.to, got, c.want)
		}
	}
}
