package authz

import (
	"testing"

	"github.com/gatewright/gatewright/config"
)

// BenchmarkShadow is what a requirement in shadow adds to a judgement whose token
// has been seen before.
func BenchmarkShadow(b *testing.B) {
	main := mainJWT()
	keys := keySetsFor(b, main)
	for name, asks := range map[string][]*config.Requirement{
		"without": {{JWT: "main"}},
		"with":    {{JWT: "main"}, {JWT: "main", Scopes: []string{"users:write"}, Mode: config.ModeShadow}},
	} {
		b.Run(name, func(b *testing.B) {
			g := newGate(b, keys, func(o *Options) { o.Tokens = 100 })
			hash := g.publish(policyOf(&config.RouteAuth{AnyOf: asks}, main))
			m := ask(hash, "/", withToken(rsaSigner().token(nil)))
			b.ReportAllocs()
			for b.Loop() {
				if r, err := g.server.Check(b.Context(), m); err != nil || !allows(r) {
					b.Fatal(r, err)
				}
			}
		})
	}
}
