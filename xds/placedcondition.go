package xds

import (
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	exprv1alpha1 "google.golang.org/genproto/googleapis/api/expr/v1alpha1"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/internal/rule"
)

// condition is the condition of a token that no matcher can say: how long its header is,
// that it was not issued in what is the future, by the provider's clock, and its rule.
func condition(c PlacedCaller) *exprv1alpha1.Expr {
	claims := fmt.Sprintf("metadata.filter_metadata[%s][%s]", strconv.Quote(jwtMetadata), strconv.Quote(c.Key))
	text := fmt.Sprintf(`size(request.headers["authorization"]) <= %d && (!has(%s.iat) || %s.iat <= double(int(request.time)) + %d.0)`,
		len(bearerPrefix)+maxToken, claims, claims, skewOf(c.Provider)/time.Second)
	if c.Rule != "" {
		asked, ok := rule.InEnvoy(c.Rule, claims)
		if !ok {
			asked = "false" // a policy with such a rule is not placed
		}
		text += " && " + asked
	}
	return expressionOf(text)
}

var plainCEL = sync.OnceValues(func() (*cel.Env, error) { return cel.NewEnv() })

// expressionOf is an expression of ours, read. They are made of constants and of quoted
// texts: one that cannot be read is a bug.
func expressionOf(text string) *exprv1alpha1.Expr {
	env, err := plainCEL()
	if err != nil {
		panic(fmt.Sprintf("xds: setting up CEL: %v", err))
	}
	ast, issues := env.Parse(text)
	if issues.Err() != nil {
		panic(fmt.Sprintf("xds: reading %s: %v", text, issues.Err()))
	}
	parsed, err := cel.AstToParsedExpr(ast)
	if err != nil {
		panic(fmt.Sprintf("xds: %s: %v", text, err))
	}
	b, err := proto.Marshal(parsed.GetExpr())
	out := &exprv1alpha1.Expr{}
	if err == nil {
		err = proto.Unmarshal(b, out)
	}
	if err != nil {
		panic(fmt.Sprintf("xds: packing %s: %v", text, err))
	}
	return out
}

// revocations are those of one issuer.
type revocations []PlacedRevocation

// revokedOf are the revocations of an issuer, and whether Envoy looks through them.
func revokedOf(issuer string, all []PlacedRevocation) (out revocations, few bool) {
	for _, r := range all {
		if r.Issuer != issuer {
			continue
		}
		if out = append(out, r); len(out) > maxPlacedRevocations {
			return nil, false
		}
	}
	return out, true
}

// none are the conditions that a token is none of those. A token is not let pass that was
// issued in the second after the last one that is meant, nor one that does not say when:
// Check knows.
func (all revocations) none(key string) []*rbacv3.Principal {
	c := PlacedCaller{Key: key}
	var out []*rbacv3.Principal
	for _, r := range all {
		if r.ID != "" {
			out = append(out, isNot(claim(c, "jti", exactValue(r.ID))))
			continue
		}
		later := claim(c, "iat", inRange(float64(r.IssuedBefore.Unix())+1, math.Inf(1)))
		if r.Subject != "" {
			later = anyPrincipal([]*rbacv3.Principal{later, isNot(claim(c, "sub", exactValue(r.Subject)))})
		}
		out = append(out, later)
	}
	return out
}
