package authz

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/rule"
)

// Identity is who the caller of a request is. The zero value is nobody in
// particular: the caller of a public route.
type Identity struct {
	// Provider is the name of the provider that vouches for the caller.
	Provider string
	// User is the token's sub; for an API key its owner, or else its id.
	User string
	// Tenant is the token's claim "tenant", or the key's tenant.
	Tenant string
	// KeyID is the id of the API key; empty for tokens.
	KeyID string
	// Plan is the plan of the credential's own: the key's, or the one in the
	// claim that the provider names. Empty is none; the tenant may have one.
	Plan string
	// Claims are the token's; nil for API keys.
	Claims map[string]any
}

// caller is an identity, the requirement that it satisfies, and the headers
// that tell the backend of it.
type caller struct {
	Identity
	by      *Requirement
	headers []header
	// ownerless: User is an API key's id, for want of an owner.
	ownerless bool
	// connection: User is whose connection it is, as its certificate says, which
	// may well carry requests of others.
	connection bool
	// until is when the certificate expires that names User; zero where none does.
	until time.Time
	// keep is what becomes of the token.
	keep tokenUse
}

// unidentified is why no requirement holds: the most telling refusal, the
// requirement that it is about, and the caller if it is one who is known and
// may not.
type unidentified struct {
	*refusal
	by    *Requirement
	known *caller
}

// identifyAny tries the requirements of AnyOf in their order.
func (s *Server) identifyAny(ctx context.Context, c *credentials, p *Policy, now time.Time) (*caller, *unidentified) {
	var worst *unidentified
	for i := range p.AnyOf {
		q := &p.AnyOf[i]
		found, refused := s.satisfy(ctx, c, q, now)
		if refused == nil {
			return found, nil
		}
		if worst == nil || telling(refused.reason) > telling(worst.reason) {
			worst = &unidentified{refused, q, found}
		}
	}
	return nil, worst
}

// telling ranks refusals: of several, the client is told the one from which
// it learns most. Known but not allowed, then cannot be said now, then a bad
// credential, then one that is for another provider, then none at all. Within
// a rank the first requirement wins.
func telling(r Reason) int {
	switch _, p := problemOf(r); {
	case r == ReasonTokenIssuerMismatch || r == ReasonClientCertificateNotAccepted:
		return 1
	case p.status == 403:
		return 4
	case p.status >= 500:
		return 3
	case r == ReasonCredentialMissing:
		return 0
	default:
		return 2
	}
}

// satisfy returns the caller that the credentials stand for, and a refusal
// where they are none, or where the caller lacks what the requirement asks.
func (s *Server) satisfy(ctx context.Context, c *credentials, q *Requirement, now time.Time) (*caller, *refusal) {
	switch {
	case q.JWT != nil:
		return s.satisfyJWT(ctx, c, q, now)
	case q.Introspection != nil:
		return s.satisfyIntrospection(ctx, c, q, now)
	case q.APIKey != nil:
		return s.satisfyAPIKey(ctx, c, q)
	case q.ClientCertificate != nil:
		return s.satisfyClientCertificate(c, q, now)
	default:
		return nil, refuse(ReasonInternal)
	}
}

func (s *Server) satisfyJWT(ctx context.Context, shown *credentials, q *Requirement, now time.Time) (*caller, *refusal) {
	claims, refused := s.claimsFrom(ctx, shown, q.JWT, now)
	if refused == nil {
		refused = s.checkBinding(shown, claims, q.JWT)
	}
	if refused != nil {
		return nil, refused
	}
	return callerOf(claims, shown, q)
}

// callerOf is the caller whom claims that have been judged name, and a refusal
// where they lack what the requirement asks.
func callerOf(claims claims, shown *credentials, q *Requirement) (*caller, *refusal) {
	user, _ := claims.text("sub") // judged already
	provider, _ := q.provider()
	c := &caller{by: q, keep: q.tokenUse(), Identity: Identity{
		Provider: provider,
		User:     user,
		Tenant:   claimText(claims["tenant"]),
		Claims:   claims,
	}}
	if refused := checkScopes(claims, q.Scopes); refused != nil {
		return c, refused
	}
	if refused := checkAnyScope(claims, q.AnyScope); refused != nil {
		return c, refused
	}
	if refused := checkRoles(claims, q); refused != nil {
		return c, refused
	}
	if refused := checkRequiredClaims(claims, q.RequiredClaims); refused != nil {
		return c, refused
	}
	if refused := checkClaims(claims, q.Claims); refused != nil {
		return c, refused
	}
	if refused := q.checkRule(shown.request, func(f *rule.Facts) { f.Claims = claims }); refused != nil {
		return c, refused
	}
	plan, ok := claims.plan(q)
	if !ok {
		return c, refuse(ReasonTokenClaimsInvalid)
	}
	headers, refused := forwardClaims(claims, q)
	c.headers, c.Plan = headers, plan
	return c, refused
}

// claimsFrom returns the token's claims if the provider vouches for them.
func (s *Server) claimsFrom(ctx context.Context, c *credentials, provider *config.JWT, now time.Time) (claims, *refusal) {
	if !c.hasToken {
		return nil, refuse(ReasonCredentialMissing)
	}
	t, refused := c.tokenFrom(s.tokens)
	if refused != nil {
		return nil, refused
	}
	for _, v := range c.verified {
		if v.provider == provider {
			return v.claims, v.refused
		}
	}
	claims, refused := s.verified(ctx, c.sum, t, provider, now)
	c.verified = append(c.verified, verified{provider, claims, refused})
	return claims, refused
}

// verified returns the claims of a token that the provider vouches for and that
// nobody has taken back, and remembers it.
func (s *Server) verified(ctx context.Context, sum tokenSum, t token, provider *config.JWT, now time.Time) (claims, *refusal) {
	claims, key, refused := verifyToken(ctx, s.keySets, provider, t, now)
	switch {
	case refused != nil && refused.reason == ReasonTokenExpired && t.seen != nil:
		s.tokens.forget(sum)
		return nil, refused
	case refused != nil:
		return nil, refused
	}
	if refused := s.checkRevoked(claims); refused != nil {
		return nil, refused
	}
	if s.tokens != nil && t.seen == nil {
		s.tokens.add(sum, seenOf(t, claims, key))
	}
	return claims, nil
}

func (s *Server) satisfyAPIKey(ctx context.Context, shown *credentials, q *Requirement) (*caller, *refusal) {
	key := shown.key(q.APIKey)
	if !key.asked {
		key.record, key.refused = checkAPIKey(ctx, s.finder, key.text)
		key.asked = true
	}
	if key.refused != nil {
		return nil, key.refused
	}
	c := &caller{by: q, ownerless: key.record.Owner == "", Identity: Identity{
		Provider: q.APIKey.Name,
		User:     cmp.Or(key.record.Owner, key.record.ID),
		Tenant:   key.record.Tenant,
		KeyID:    key.record.ID,
		Plan:     key.record.Plan,
	}}
	if missing := firstMissing(q.Permissions, key.record.Permissions); missing != "" {
		return c, refuseWith(ReasonPermissionMissing, "The API key lacks the permission "+missing+".")
	}
	refused := q.checkRule(shown.request, func(f *rule.Facts) {
		f.KeyID, f.KeyOwner, f.KeyTenant, f.KeyPermissions = key.record.ID, key.record.Owner, key.record.Tenant, key.record.Permissions
	})
	if refused != nil {
		return c, refused
	}
	c.headers, refused = forwardKey(&key.record, q)
	return c, refused
}

func checkScopes(c claims, needed []string) *refusal {
	for _, scope := range needed {
		if !c.grants(scope) {
			return refuseWith(ReasonScopeMissing, "The token lacks the scope "+scope+".")
		}
	}
	return nil
}

func checkClaims(c claims, needed map[string][]string) *refusal {
	var failed []string
	for name, values := range needed {
		if !c.holds(name, values) {
			failed = append(failed, name)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	slices.Sort(failed)
	return refuseWith(ReasonClaimMismatch,
		"The token has none of the values that this route needs in: "+strings.Join(failed, ", ")+".")
}

// firstMissing returns the first of needed that is not in granted, or nothing.
func firstMissing(needed, granted []string) string {
	for _, n := range needed {
		if !slices.Contains(granted, n) {
			return n
		}
	}
	return ""
}
