package diff

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
)

// Protection is how a change bears on who may do what.
type Protection string

// The kinds of change, the most urgent first.
const (
	// Less: somebody may pass who could not before, or more often.
	Less Protection = "less-protected"
	// Opened: requests that no route took are taken now.
	Opened Protection = "newly-reachable"
	// Other: what is asked is the same, or another thing that is not less.
	Other Protection = "changed"
	// Closed: no route takes them any more.
	Closed Protection = "no-longer-reachable"
)

var urgency = map[Protection]int{Less: 0, Opened: 1, Other: 2, Closed: 3}

// protection is the kind of a change, and what is less protected by it, in words.
func protection(before, after *judgement) (Protection, []string) {
	switch {
	case before.asks == nil:
		return Opened, nil
	case after.asks == nil:
		return Closed, nil
	}
	if lost := append(newWaysIn(before.asks, after.asks), looserLimits(before.asks, after.asks)...); len(lost) > 0 {
		return Less, lost
	}
	return Other, nil
}

// asksAtLeast tells whether whoever satisfies a requirement satisfies another.
func asksAtLeast(q, other *authz.Requirement) bool {
	for name, values := range other.Claims {
		asked, ok := q.Claims[name]
		if !ok || !subset(asked, values) {
			return false
		}
	}
	return (q.JWT == nil) == (other.JWT == nil) && believesNoMore(q.JWT, other.JWT) && reflect.DeepEqual(q.APIKey, other.APIKey) &&
		vouchesNoMore(q.Introspection, other.Introspection) && acceptsNoMore(q.ClientCertificate, other.ClientCertificate) &&
		subset(other.Scopes, q.Scopes) && subset(other.Permissions, q.Permissions) && asksAsMuchOfToken(q, other) &&
		(other.Rule == "" || q.Rule == other.Rule)
}

// asksAsMuchOfToken tells so of what is asked beside scopes and claims' values.
func asksAsMuchOfToken(q, other *authz.Requirement) bool {
	anyScope := len(other.AnyScope) == 0 || len(q.AnyScope) > 0 && subset(q.AnyScope, other.AnyScope) ||
		slices.ContainsFunc(q.Scopes, func(s string) bool { return slices.Contains(other.AnyScope, s) })
	roles := len(other.Roles) == 0 || len(q.Roles) > 0 && subset(q.Roles, other.Roles) && q.JWT != nil && other.JWT != nil && q.JWT.RolesClaim == other.JWT.RolesClaim
	required := subset(other.RequiredClaims, append(slices.Collect(maps.Keys(q.Claims)), q.RequiredClaims...))
	return anyScope && roles && required
}

// believesNoMore tells whether each token that a provider vouches for another
// one does, too. What it forwards is not about that.
func believesNoMore(p, other *config.JWT) bool {
	if p == nil || other == nil {
		return p == other
	}
	return p.Name == other.Name && p.Issuer == other.Issuer && p.JWKS == other.JWKS &&
		p.SecretEnv == other.SecretEnv && (p.PreviousSecretEnv == "" || p.PreviousSecretEnv == other.PreviousSecretEnv) &&
		subset(p.Audiences, other.Audiences) && subset(algorithms(p), algorithms(other)) && typeFits(p.TokenType, other.TokenType) && p.ClockSkew.Or(defaultSkew) <= other.ClockSkew.Or(defaultSkew) &&
		(p.CertificateBound || !other.CertificateBound)
}

// typeFits tells whether tokens of a type are of another type, too. Empty is the
// default: JWT, at+jwt, and none said.
func typeFits(typ, other string) bool {
	typ, other = strings.ToLower(config.ShortMediaType(typ)), strings.ToLower(config.ShortMediaType(other))
	return typ == other || other == "" && (typ == "jwt" || typ == "at+jwt")
}

// vouchesNoMore is believesNoMore for introspection: whose answers are taken,
// and for how long. An empty list of audiences takes every one.
func vouchesNoMore(p, other *config.Introspection) bool {
	if p == nil || other == nil {
		return p == other
	}
	audiences := len(other.Audiences) == 0 || len(p.Audiences) > 0 && subset(p.Audiences, other.Audiences)
	remembered := p.Cache.Off || !other.Cache.Off && p.Cache.MaxAge.Or(defaultAge) <= other.Cache.MaxAge.Or(defaultAge)
	return p.Name == other.Name && p.URL == other.URL && p.ClientID == other.ClientID && p.CA == other.CA &&
		p.PlainHTTP == other.PlainHTTP && (other.Issuer == "" || p.Issuer == other.Issuer) && audiences && remembered &&
		p.ClockSkew.Or(defaultSkew) <= other.ClockSkew.Or(defaultSkew)
}

// acceptsNoMore is believesNoMore for client certificates. A list that is not
// given takes every one.
func acceptsNoMore(p, other *config.ClientCertificate) bool {
	if p == nil || other == nil {
		return p == other
	}
	within := func(list, others []string) bool { return len(others) == 0 || len(list) > 0 && subset(list, others) }
	return p.Name == other.Name && p.UserPart() == other.UserPart() && p.Tenant == other.Tenant && maps.Equal(p.Tenants, other.Tenants) &&
		within(p.URIs, other.URIs) && within(p.DNSNames, other.DNSNames) && within(p.Emails, other.Emails) &&
		within(p.CommonNames, other.CommonNames) && within(p.Organizations, other.Organizations)
}

func subset(of, all []string) bool {
	return !slices.ContainsFunc(of, func(s string) bool { return !slices.Contains(all, s) })
}

// looserLimits are the limits that are gone, or let more pass.
func looserLimits(before, after *authz.Policy) []string {
	var all []string
	for _, old := range before.Limits {
		i := slices.IndexFunc(after.Limits, func(l *config.Limit) bool { return l.Name == old.Name })
		switch {
		case i < 0:
			all = append(all, "limit "+old.Name+" is gone")
		case !reflect.DeepEqual(after.Limits[i], old) && !tighter(after.Limits[i], old):
			all = append(all, fmt.Sprintf("limit %s is another one", old.Name))
		}
	}
	return all
}

// tighter tells whether a limit lets no more pass than another of the same key.
func tighter(l, old *config.Limit) bool {
	if !countsAlike(l, old) || l.OnStoreFailure != old.OnStoreFailure || l.Consistency != old.Consistency {
		return false
	}
	return tighterForAll(l, old)
}

// countsAlike tells whether a limit has the same buckets as another, and takes no
// less of them, and denies by them where that does.
func countsAlike(l, old *config.Limit) bool {
	dearer := !l.Cost.Varies() && !old.Cost.Varies() && l.Cost.Usual() >= old.Cost.Usual()
	return slices.Equal(l.Key, old.Key) && l.ClientPrefix() == old.ClientPrefix() &&
		(dearer || reflect.DeepEqual(l.Cost, old.Cost)) && (l.Mode == old.Mode || l.Mode != config.ModeShadow)
}

// defaultSkew, defaultAge and algorithms are what a provider has, and defaultLease
// what a limit has, that says nothing of them.
const (
	defaultSkew  = 30 * time.Second
	defaultAge   = 30 * time.Second
	defaultLease = time.Minute
)

func algorithms(p *config.JWT) []string {
	if len(p.Algorithms) == 0 {
		return []string{"RS256", "ES256"}
	}
	return p.Algorithms
}
