package main

import (
	"bytes"
	"fmt"
	"strings"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	rlsv3 "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/bench/internal/rig"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/ratelimit"
)

// consistencies are those that are measured.
var consistencies = []config.Consistency{config.Exact, config.Lease, config.Sync}

// parts are those that a request is counted by, the first alone or all three:
// as gatewright calls them, and as the rival's config does.
var parts = []struct{ ours, rivals string }{{"user", "user"}, {"tenant", "tenant"}, {"clientIP", "client_ip"}}

// value is what a request of a user has for a part: ten users are a tenant.
func value(part string, user int) string {
	switch part {
	case "tenant":
		return fmt.Sprintf("tenant-%d", user/10)
	case "clientIP", "client_ip":
		return fmt.Sprintf("10.%d.%d.%d", user>>16&255, user>>8&255, user&255)
	}
	return fmt.Sprintf("user-%d", user)
}

// gateway is a config with the limits that are measured, and the tokens to pass
// its route.
type gateway struct {
	issuer *rig.Issuer
	config []byte
	policy string // the hash of its route's
}

// newGateway: no limit of it is ever reached, as the rival's.
func newGateway() (*gateway, error) {
	issuer, err := rig.NewIssuer()
	if err != nil {
		return nil, err
	}
	g := &gateway{issuer: issuer}
	var limits strings.Builder
	for _, c := range consistencies {
		for _, p := range parts {
			fmt.Fprintf(&limits, "  %s-%s: {key: [%s], tokenBucket: {capacity: 50000, refill: 50000/s}, consistency: %s}\n", c, strings.ToLower(p.ours), p.ours, c)
		}
	}
	limits.WriteString(fleetLimits() + manyLimit)
	g.config = fmt.Appendf(nil, `listeners: [{name: public, address: "127.0.0.1:8080"}]
backends: {app: {endpoints: ["127.0.0.1:8081"]}}
auth:
  jwt: {main: {issuer: %s, audiences: [api], algorithms: [RS256], jwks: {inline: '%s'}, forward: {sub: X-User-ID}}}
limits:
%sroutes:
  - {name: app, match: {path: /app}, auth: {anyOf: [{jwt: main, scopes: [users:read]}]}, limits: [exact-user], to: [{backend: app}]}
`, rig.IssuerName, issuer.JWKS, &limits)
	c, err := config.Parse("gateway.yaml", g.config)
	if err != nil {
		return nil, err
	}
	g.policy = authz.NewPolicy(c, c.Routes[0], false).Hash()
	return g, nil
}

// checks are CheckRequests of so many users, a token each.
func (g *gateway) checks(users int) ([][]byte, error) {
	out := make([][]byte, users)
	for i := range out {
		token, err := g.issuer.Token("RS256", i)
		if err != nil {
			return nil, err
		}
		if out[i], err = rig.CheckRequest("app", g.policy, "authorization", "Bearer "+token); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// passes looks at the reply to a Check: it begins with a status that is OK.
func passes(reply []byte) error {
	if !bytes.HasPrefix(reply, []byte{0x0a, 0x00}) {
		return fmt.Errorf("a request did not pass: %q", reply)
	}
	return nil
}

// entry is one of a descriptor.
func entry(key, value string) *commonv3.RateLimitDescriptor_Entry {
	return &commonv3.RateLimitDescriptor_Entry{Key: key, Value: value}
}

// ours are the requests of so many users to our own domain, with so many
// descriptors each.
func ours(c config.Consistency, users, descriptors int) ([][]byte, error) {
	return requests(ratelimit.Domain, users, descriptors, func(i, user int) []*commonv3.RateLimitDescriptor_Entry {
		part := parts[i].ours
		return []*commonv3.RateLimitDescriptor_Entry{entry("limit", string(c)+"-"+strings.ToLower(part)), entry(part, value(part, user))}
	})
}

// rivals are those to the domain of rivalConfig.
func rivals(users, descriptors int) ([][]byte, error) {
	return requests(rivalDomain, users, descriptors, func(i, user int) []*commonv3.RateLimitDescriptor_Entry {
		part := parts[i].rivals
		return []*commonv3.RateLimitDescriptor_Entry{entry(part, value(part, user))}
	})
}

func requests(domain string, users, descriptors int, entries func(i, user int) []*commonv3.RateLimitDescriptor_Entry) ([][]byte, error) {
	out := make([][]byte, users)
	for user := range out {
		request := &rlsv3.RateLimitRequest{Domain: domain}
		for i := range descriptors {
			request.Descriptors = append(request.Descriptors, &commonv3.RateLimitDescriptor{Entries: entries(i, user)})
		}
		var err error
		if out[user], err = proto.Marshal(request); err != nil {
			return nil, fmt.Errorf("writing a RateLimitRequest: %w", err)
		}
	}
	return out, nil
}

// admits looks at the reply to a RateLimitRequest: it begins with an overall code
// that is OK.
func admits(reply []byte) error {
	if !bytes.HasPrefix(reply, []byte{0x08, byte(rlsv3.RateLimitResponse_OK)}) {
		return fmt.Errorf("a request was not admitted: %q", reply)
	}
	return nil
}
