package authz

import (
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/rule"
)

// Policy is what one route asks of a request. It is immutable: plan.Compile
// builds it from the config, and from then on it is known by its Hash. The
// zero value is public, unlimited and without breakers.
type Policy struct {
	// AnyOf is tried in order; the first requirement that holds decides who
	// the caller is. Empty: AllOf decides. Both are: the route is public.
	AnyOf []Requirement
	// AllOf must all hold, beside one of AnyOf where that has any, and speak of
	// no two callers. Without AnyOf the caller is the first's.
	AllOf []Requirement
	// Shadow are requirements that are judged and counted, as if they stood in the
	// place of AnyOf, beside AllOf, and never enforced: they protect nothing. Where
	// nothing is enforced, the first of them that holds tells who the caller is,
	// and a request for which none does is nobody's.
	Shadow []Requirement
	// AllowAnonymous: a request that has no credential at all passes, as
	// nobody's. One that has any is judged as if this were not set.
	AllowAnonymous bool
	// Limits are charged together: all of them, or none. Empty: none.
	Limits []*config.Limit
	// Breakers are those in front of the route's backends. Empty: none.
	Breakers []BackendBreaker
	// OnlyBackend is the route's backend where it has no other and that one has a
	// breaker.
	OnlyBackend string
	// LimitsInFilter: Envoy's own ratelimit filter asks for the limits. Check
	// then charges nothing, and hands the values of their keys to that filter
	// as dynamic metadata.
	LimitsInFilter bool
	// RateLimitHeaders tell of the limits. The empty string means ietf.
	RateLimitHeaders config.RateLimitHeaders
	// meters are how its limits read requests, by NewPolicy.
	meters []*meter `hash:"-"`
	// Split is how Check chooses among the route's backends; nil where Envoy's
	// choice stands.
	Split *Split
	// Holds: Envoy looks for the route once more when Check takes parameters out of
	// the query, and is to find this one.
	Holds bool
	// Tells is what Envoy is told of the caller, to make headers and queries of, and to pick endpoints by: see
	// config.TemplatePart.Told.
	Tells []string
	// Errors are the bodies of denials, in place of problem documents.
	Errors []*config.ErrorBody
	// Validation holds requests to a document; nil does not.
	Validation *Validation
	// Strangers: the requests are those that no route takes. Nobody serves one
	// that passes: its answer, and the reason for it, are none of a judgement.
	Strangers bool
	// Challenges: the requests are those by which an authority sees that a domain leads
	// here (RFC 8555, section 8.3). All of them are answered here.
	Challenges bool
}

// Requirement is one way to satisfy a route. Exactly one of JWT, Introspection,
// APIKey and ClientCertificate is set; a requirement with none never holds.
type Requirement struct {
	// JWT is the issuer whose token is asked for.
	JWT *config.JWT
	// Introspection is the issuer that is asked about the token.
	Introspection *config.Introspection
	// Scopes must all be granted by the token.
	Scopes []string
	// AnyScope: the token must grant one of them. Empty asks for none.
	AnyScope []string
	// Roles: the caller must have one of them. Empty asks for none.
	Roles []string
	// RequiredClaims must be there, and not be null.
	RequiredClaims []string
	// Claims: each claim must equal one of the values, or as a list contain one.
	Claims map[string][]string
	// APIKey is the provider whose key is asked for.
	APIKey *config.APIKey
	// Permissions must all be on the key.
	Permissions []string
	// ClientCertificate is the provider whose certificate is asked for.
	ClientCertificate *config.ClientCertificate
	// names are its lists, by NewPolicy.
	names *certificateNames `hash:"-"`
	// Rule is the text of the rule that must come to true; empty asks nothing.
	Rule string
	// compiled is that text compiled, by NewPolicy. A requirement that has a text
	// and no compiled rule never holds.
	compiled *rule.Rule `hash:"-"`
	// forwarding is what the provider forwards, by NewPolicy; see forwards.
	forwarding []forwarding `hash:"-"`
}

// takesToken reports whether a bearer token satisfies the requirement.
func (q *Requirement) takesToken() bool { return q.JWT != nil || q.Introspection != nil }

// provider is the name of what vouches for a token, and what the backend is told
// of it: properties of who shows it, by the names of headers.
func (q *Requirement) provider() (name string, forward map[string]string) {
	switch {
	case q.JWT != nil:
		return q.JWT.Name, q.JWT.Forward
	case q.Introspection != nil:
		return q.Introspection.Name, q.Introspection.Forward
	case q.APIKey != nil:
		return q.APIKey.Name, q.APIKey.Forward
	case q.ClientCertificate != nil:
		return q.ClientCertificate.Name, q.ClientCertificate.Forward
	}
	return "", nil
}

// keepsToken reports whether the backend is to see the token that satisfied
// the requirement.
func (q *Requirement) keepsToken() bool {
	return q.JWT != nil && q.JWT.ForwardCredential || q.Introspection != nil && q.Introspection.ForwardCredential
}

// NewPolicy returns the policy of a route. The config must be valid: names
// are looked up, not checked. limitsInFilter is whether the route's listener
// asks for limits by Envoy's ratelimit filter (config.RateLimitFilter).
func NewPolicy(c *config.Config, r *config.Route, limitsInFilter bool) *Policy {
	anyOf, allOf, shadow := requirements(c, r.Auth)
	breakers, only := breakers(c, r)
	p := &Policy{
		AnyOf:          anyOf,
		AllOf:          allOf,
		Shadow:         shadow,
		AllowAnonymous: r.Auth != nil && !r.Auth.Public && r.Auth.AllowAnonymous,
		Breakers:       breakers,
		OnlyBackend:    only,
		Limits:         limits(c, r.Limits),
		LimitsInFilter: limitsInFilter && len(r.Limits) > 0,
		Split:          newSplit(r),
		Tells:          c.Told(r),
		Errors:         config.ErrorBodiesOf(config.FromGateway, r.Errors, c.Errors),
		Validation:     newValidation(c, r),
	}
	p.meter(c)
	return p
}

// NewStrangersPolicy returns the policy of requests that no route takes: public,
// and limited where the config says so. The config must be valid.
func NewStrangersPolicy(c *config.Config) *Policy {
	p := &Policy{Strangers: true, Errors: config.ErrorBodiesOf(config.FromGateway, c.Errors)}
	if c.Strangers != nil {
		p.Limits = limits(c, c.Strangers.Limits)
	}
	p.meter(c)
	return p
}

// meter makes of the policy's limits what reads requests, and answers, for them.
func (p *Policy) meter(c *config.Config) {
	p.meters = newMeters(p.Limits)
	if len(p.Limits) > 0 && c.RateLimitHeaders != config.HeadersIETF {
		p.RateLimitHeaders = c.RateLimitHeaders
	}
}

// Needed reports whether a request of the route has to be judged. If not, the
// route is public, unlimited, without a breaker, a document and anything in shadow,
// and Envoy need not call.
func (p *Policy) Needed() bool {
	return p.Challenges || !p.Public() || len(p.Shadow) > 0 || len(p.Limits) > 0 || len(p.Breakers) > 0 || p.Validation != nil
}

// TakesFromQuery reports whether Check may take a parameter out of the query: an
// API key.
func (p *Policy) TakesFromQuery() bool {
	for q := range p.Reads().Requirements() {
		if q.APIKey != nil && q.APIKey.From.Query != "" {
			return true
		}
	}
	return false
}

// Hash is the policy's content address: 32 hexadecimal digits of the SHA-256
// of everything in it, with the definitions of its providers and limits. Equal
// policies have equal hashes, in every process.
func (p *Policy) Hash() string {
	return contentHash(p)
}

// requirements are those that a route enforces, of either kind, and those that
// it has in shadow. What stands in allOf is enforced, whatever its mode:
// validation refuses shadow there.
func requirements(c *config.Config, auth *config.RouteAuth) (anyOf, allOf, shadow []Requirement) {
	if auth != nil && auth.Public {
		return nil, nil, nil
	}
	// Validation refuses a route that says nothing about auth. Should one get
	// here all the same, it must not become public by that.
	if auth == nil || len(auth.AnyOf) == 0 && len(auth.AllOf) == 0 {
		return []Requirement{{}}, nil, nil
	}
	var enforced, tried []*config.Requirement
	for _, q := range auth.AnyOf {
		if q.InShadow() {
			tried = append(tried, q)
		} else {
			enforced = append(enforced, q)
		}
	}
	return resolved(c, enforced), resolved(c, auth.AllOf), resolved(c, tried)
}

// resolved are requirements with their providers; nil for none.
func resolved(c *config.Config, named []*config.Requirement) []Requirement {
	if len(named) == 0 {
		return nil
	}
	all := make([]Requirement, len(named))
	for i, q := range named {
		all[i] = Requirement{
			JWT:            c.Auth.JWT[q.JWT],
			Scopes:         q.Scopes,
			AnyScope:       q.AnyScope,
			Roles:          q.Roles,
			RequiredClaims: q.RequiredClaims,
			Claims:         q.Claims,
			APIKey:         c.Auth.APIKey[q.APIKey],
			Permissions:    q.Permissions,
			Rule:           q.Rule,
			Introspection:  c.Auth.Introspection[q.Introspection],

			ClientCertificate: c.Auth.ClientCertificate[q.ClientCertificate],
		}
		if p := all[i].ClientCertificate; p != nil {
			all[i].names = newCertificateNames(p)
		}
		all[i].forwarding = all[i].forwards()
		all[i].compile()
	}
	return all
}

func limits(c *config.Config, names []string) []*config.Limit {
	if len(names) == 0 {
		return nil
	}
	all := make([]*config.Limit, len(names))
	for i, name := range names {
		all[i] = c.Limits[name]
	}
	return all
}
