package test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// object is a part of a config, or of JSON.
type object map[string]any

// inPlainText is a listener that says where its policies run; the empty placement says
// nothing of it.
const inPlainText = `
listeners:
  - {name: public, address: "{{listen "public"}}"{{with .placement}}, placement: {{.}}{{end}}}
`

// securedToo is a listener with TLS beside it.
const securedToo = `
  - name: secure
    address: "{{listen "secure"}}"
    {{with .placement}}placement: {{.}}{{end}}
    tls: {certificates: [{cert: {{.certs}}/first.crt, key: {{.certs}}/first.key}]}
`

// providers are those that generated policies name. All have the same keys.
const providers = `
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
  jwt:
    main:
      issuer: https://id.example.com/
      audiences: [api, api2]
      algorithms: [RS256, ES256, EdDSA, PS256]
      jwks: {file: "{{.keys}}"}
      forward: {sub: X-User-ID, role: X-User-Role, tenant: X-Tenant-ID}
    plain:
      issuer: https://id.example.com/
      audiences: [api]
      jwks: {file: "{{.keys}}"}
      clockSkew: 5m
      forward: {sub: X-User-ID}
      rolesClaim: role
      forwardCredential: true
    second:
      issuer: https://other.example.com/
      audiences: [api]
      algorithms: [ES256, ES384]
      jwks: {file: "{{.keys}}"}
      forward: {sub: X-Account, level: X-Level, extra: X-Extra, active: X-Active}
    access:
      issuer: https://id.example.com/
      audiences: [api]
      algorithms: [RS256, EdDSA]
      jwks: {file: "{{.keys}}"}
      tokenType: at+jwt
    dotted:
      issuer: https://id.example.com/
      audiences: [api]
      jwks: {file: "{{.keys}}"}
      forward: {o.p: X-Dotted, sub: X-User-ID}
    grouped:
      issuer: https://id.example.com/
      audiences: [api]
      jwks: {file: "{{.keys}}"}
      rolesClaim: groups
    identity:
      issuer: https://id.example.com/
      audiences: [api]
      algorithms: [RS256, PS256, ES256, EdDSA]
      jwks: {file: "{{.keys}}"}
      forward: {sub: X-User-ID, role: X-User-Role}
  apiKey:
    partners: {forward: {id: X-Key-ID, owner: X-User-ID, tenant: X-Tenant-ID}}
rateLimitHeaders: both
`

// issuer is what a provider takes: whose tokens, by which keys, of which type.
type issuer struct {
	name string
	keys []tokenKey
	typ  string
}

// issuerFor is that of a provider of the route, or else of any.
func issuerFor(t *rapid.T, route object) issuer {
	keys := madeKeys().all
	name := chosen(t, "provider", providerNames)
	if auth, ok := route["auth"].(object); ok && uniform(10).Draw(t, "another provider") > 0 {
		if all, ok := auth["anyOf"].([]object); ok {
			if jwt, ok := chosen(t, "requirement", all)["jwt"].(string); ok {
				name = jwt
			}
		}
	}
	switch name {
	case "second":
		return issuer{secondIssuer, []tokenKey{keys[1], keys[2]}, ""}
	case "plain":
		return issuer{firstIssuer, []tokenKey{keys[0], keys[1]}, ""}
	case "access":
		return issuer{firstIssuer, []tokenKey{keys[0], keys[3]}, "at+jwt"}
	default:
		return issuer{firstIssuer, []tokenKey{keys[0], keys[0], keys[1], keys[3]}, ""}
	}
}

var providerNames = []string{"main", "main", "main", "main", "main", "second", "second", "second", "plain", "access"}

// generatedRoutes are the routes of a config, each with a policy. In the form scoped some
// are of one host and some of all that end alike; in the form limited most have a limit,
// which is theirs alone.
func generatedRoutes(form twinForm) *rapid.Generator[[]object] {
	return rapid.Custom(func(t *rapid.T) []object {
		all := make([]object, form.policies)
		for i := range all {
			name, match, auth := fmt.Sprint("r", i), object{"path": fmt.Sprintf("/r%d/**", i)}, generatedAuth(t)
			if hosts := [][]string{nil, {"api.example.com"}, {"*.example.com"}}[i%3]; form.scoped && hosts != nil {
				match["hosts"] = hosts
			}
			all[i] = object{"name": name, "match": match, "auth": auth, "to": []object{{"backend": "app"}}}
			if form.limited && i%4 > 0 && (auth == "public" || asksForCallers(auth)) {
				all[i]["limits"] = []string{name}
			}
		}
		return all
	})
}

// asksForCallers tells whether nobody passes of whom it is not known who he is, so that a
// limit may count by that alone.
func asksForCallers(auth any) bool {
	asks, _ := auth.(object)
	if asks == nil || asks["allowAnonymous"] != nil {
		return false
	}
	all, anyOf := asks["anyOf"].([]object)
	return !anyOf || slices.ContainsFunc(all, func(q object) bool { return q["mode"] == nil })
}

func takesAPIKeys(auth any) bool {
	asks, _ := auth.(object)
	for _, list := range []string{"anyOf", "allOf"} {
		all, _ := asks[list].([]object)
		if slices.ContainsFunc(all, func(q object) bool { return q["apiKey"] != nil }) {
			return true
		}
	}
	return false
}

// limitsOf are the limits of generated routes, and those of cases, by their names.
func limitsOf(routes []object) map[string]object {
	all := map[string]object{}
	for _, r := range limitCaseRoutes() {
		all[r["name"].(string)] = object{"key": []string{"user"}, "consistency": "sync", "tokenBucket": object{"capacity": 1, "refill": "1/d"}}
	}
	keys := [][]string{{"user"}, {"tenant"}, {"claim:role"}, {"user", "route"}, {"clientIP", "user"}}
	for i, r := range routes {
		if r["limits"] != nil {
			key := keys[i%len(keys)]
			if takesAPIKeys(r["auth"]) { // which have no claims
				key = keys[0]
			}
			if r["auth"] == "public" {
				key = []string{"clientIP", "route"}
			}
			all[r["name"].(string)] = object{
				"key": key, "consistency": "sync", "tokenBucket": object{"capacity": 1 + i%3, "refill": "1/d"},
			}
		}
	}
	return all
}

func generatedAuth(t *rapid.T) any {
	kind := uniform(20).Draw(t, "kind")
	if kind == 0 {
		return "public"
	}
	if kind == 1 { // shadow alone
		return object{"anyOf": []object{inShadow(generatedRequirement(t))}}
	}
	any := []object{generatedRequirement(t)}
	for range chosen(t, "alternatives", []int{0, 0, 0, 0, 1, 2}) {
		any = append(any, generatedRequirement(t))
	}
	if kind == 2 {
		any = append(any, inShadow(generatedRequirement(t)))
	}
	if kind == 3 || kind == 4 {
		any = append(any, object{"apiKey": "partners"})
	}
	if kind == 5 {
		return object{"allOf": []object{any[0], {"apiKey": "partners"}}}
	}
	auth := object{"anyOf": any}
	if kind >= 16 {
		auth["allowAnonymous"] = true
	}
	return auth
}

func inShadow(requirement object) object {
	requirement["mode"] = "shadow"
	return requirement
}

var (
	askedScopes = []string{"users:read", "users:write", "orders:read", "nobody:has"}
	askedRules  = []string{
		`claims.tier == "gold"`, `claims.tier == "gold" && request.method != "DELETE"`, `claims.level >= 3`, `has(claims.extra)`,
		`!("x-user-id" in request.headers) && !("x-account" in request.headers)`, `request.path.startsWith("/r")`, `claims.sub == "alice" || "x-debug" in request.headers`,
		`"buyer" in claims.role`, `claims.sub.size() > 3`,
	}
	askedClaims = map[string][]string{
		"role": {"buyer", "admin"}, "tier": {"gold"}, "level": {"7"}, "active": {"true"}, "tenant": {"acme", "globex"}, "roles": {"reader"}, "extra": {"7", "a,b"}, "o.p": {"v"},
	}
)

// generatedRequirement asks for a token of one provider, and mostly for little more.
func generatedRequirement(t *rapid.T) object {
	q := object{"jwt": chosen(t, "provider", providerNames)}
	asks := func(what string) bool { return uniform(4).Draw(t, what) == 0 }
	if rapid.Bool().Draw(t, "scopes") {
		q["scopes"] = rapid.SliceOfNDistinct(rapid.SampledFrom(askedScopes[:3]), 1, 2, rapid.ID[string]).Draw(t, "scopes")
	}
	if asks("anyScope") {
		q["anyScope"] = rapid.SliceOfNDistinct(rapid.SampledFrom(askedScopes), 1, 3, rapid.ID[string]).Draw(t, "anyScope")
	}
	if asks("roles") {
		q["roles"] = chosen(t, "roles", [][]string{{"reader"}, {"buyer", "reader"}, {"owner", "writer"}})
	}
	if asks("claims") {
		claims := object{}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"role", "tier", "level", "active", "tenant", "roles", "extra", "o.p"}), 1, 2, rapid.ID[string]).Draw(t, "claims") {
			claims[name] = askedClaims[name]
		}
		q["claims"] = claims
	}
	if asks("required") {
		q["requiredClaims"] = chosen(t, "required", [][]string{{"sub"}, {"tenant", "role"}, {"extra"}, {"o.p"}})
	}
	if uniform(10).Draw(t, "rule") == 0 {
		q["rule"] = chosen(t, "rule", askedRules)
	}
	return q
}

// inYAML writes routes as a part of a config; JSON is YAML.
func inYAML(t testing.TB, routes []object) string {
	t.Helper()
	var b strings.Builder
	for _, r := range routes {
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "  - %s\n", line)
	}
	return b.String()
}
