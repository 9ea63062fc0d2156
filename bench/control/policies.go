package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/plan"
	"github.com/gatewright/gatewright/xds"
)

// issuer is who makes the token by which routes with policies are asked. It has one key,
// and one token, with the scopes of all policies.
type issuer struct {
	token   string
	members map[string]string // of the key's JWK
}

const issuerName = "https://bench.example.com/"

// theIssuer is made once for a run.
var theIssuer = sync.OnceValue(func() issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(fmt.Sprintf("making a key: %v", err)) // no randomness: nothing works
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		panic(fmt.Sprintf("reading a key: %v", err))
	}
	encode := base64.RawURLEncoding.EncodeToString
	var scopes []string
	for i := range mostPolicies {
		scopes = append(scopes, scopeOf(i))
	}
	claims, _ := json.Marshal(map[string]any{
		"iss": issuerName, "aud": "bench", "sub": "somebody", "exp": time.Now().Add(time.Hour).Unix(), "scope": strings.Join(scopes, " "),
	})
	signed := encode([]byte(`{"alg":"ES256","kid":"k","typ":"JWT"}`)) + "." + encode(claims)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		panic(fmt.Sprintf("signing: %v", err))
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return issuer{
		token:   signed + "." + encode(signature),
		members: map[string]string{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])},
	}
})

// mostPolicies is how many a size can have.
const mostPolicies = 64

func scopeOf(policy int) string { return fmt.Sprintf("things:read-%d", policy) }

// under are the routes with policies in turn, each of which asks for another scope.
func under(policies int, routes []*config.Route) []*config.Route {
	for i, r := range routes {
		if policies > 0 {
			r.Auth = &config.RouteAuth{AnyOf: []*config.Requirement{{JWT: "main", Scopes: []string{scopeOf(i % policies)}}}}
		}
	}
	return routes
}

// provider is the issuer as a config has it.
func (i issuer) provider() *config.JWT {
	set := map[string]string{"kid": "k", "alg": "ES256"}
	for name, value := range i.members {
		set[name] = value
	}
	inline, _ := json.Marshal(map[string]any{"keys": []any{set}})
	return &config.JWT{Name: "main", Issuer: issuerName, Audiences: []string{"bench"}, JWKS: config.JWKS{Inline: string(inline)}}
}

// served are a plan's resources as gatewright serves them: with the issuer's key in the
// filters of policies.
func served(p *plan.Plan) (xds.Resources, error) {
	state := xds.PlacedState{Keys: map[string][]xds.PlacedKey{}, Version: p.Version, Open: map[string]bool{}}
	for _, policy := range p.Placed() {
		for _, c := range policy.Callers {
			state.Keys[c.Key] = []xds.PlacedKey{{ID: "k", Algorithms: []string{"ES256"}, Members: theIssuer().members}}
		}
	}
	return p.Resources.WithPlaced(p.Placed(), state)
}

// extent says how many bytes of what a plan has are served.
func extent(resources xds.Resources) string {
	bytes := map[string]int{}
	for typeURL, byName := range resources {
		for _, r := range byName {
			bytes[typeURL[strings.LastIndexByte(typeURL, '.')+1:]] += proto.Size(r.Message)
		}
	}
	return fmt.Sprintf("routes %.1f MiB, filters of policies %.1f KiB", float64(bytes["RouteConfiguration"])/(1<<20), float64(bytes["TypedExtensionConfig"])/(1<<10))
}
