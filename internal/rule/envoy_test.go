package rule

import "testing"

func TestInEnvoy(t *testing.T) {
	for text, want := range map[string]string{
		`claims.tier == "gold"`:                                  `(C.tier == "gold")`,
		`claims.tier == "gold" && request.method != "DELETE"`:    `((C.tier == "gold") && (request.method != "DELETE"))`,
		`claims["a.b"].c in ["x", "y"] || "z" in claims.list`:    `((C["a.b"].c in ["x", "y"]) || ("z" in C.list))`,
		`has(claims.tier) && claims.sub.startsWith("svc-")`:      `(has(C.tier) && C.sub.startsWith("svc-"))`,
		`claims.admin == true && !(request.method in ["PATCH"])`: `((C.admin == true) && !(request.method in ["PATCH"]))`,
		`claims.mail.matches("^[a-z]+@example\\.com$")`:          `C.mail.matches("^[a-z]+@example\\.com$")`,
		`claims.tier == "é\n\""`:                                 `(C.tier == "é\n\"")`,
	} {
		if got, ok := InEnvoy(text, "C"); !ok || got != want {
			t.Errorf("%s: got %s, %t; want %s", text, got, ok, want)
		}
		if _, err := Compile(text, Token); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for why, text := range map[string]string{
		"a claim that lacks is an error here":    `claims.tier != "gold"`,
		"and so is not of it":                    `!(claims.tier == "gold")`,
		"not what is there":                      `!has(claims.tier)`,
		"numbers are of one kind in Envoy":       `claims.level == 7`,
		"and compare otherwise":                  `claims.level > 7`,
		"Envoy's path has the query":             `request.path == "/a"`,
		"headers are as Envoy joins them":        `request.headers["x"] == "a"`,
		"a bare claim may be anything":           `claims.admin == true || claims.other`,
		"two claims may be anything":             `claims.a == claims.b`,
		"Envoy has no loops":                     `claims.list.all(x, x == "a")`,
		"an expression may come from a claim":    `claims.a.matches(claims.b)`,
		"a choice":                               `claims.a == "x" ? true : false`,
		"the method is none that could have one": `has(request.method.a)`,
		"no rule":                                `claims.`,
	} {
		if got, ok := InEnvoy(text, "C"); ok {
			t.Errorf("%s: %s is %s", why, text, got)
		}
	}
}
