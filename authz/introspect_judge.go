package authz

import (
	"context"
	"time"

	"github.com/gatewright/gatewright/config"
)

// vouched is what one introspection provider says of the token.
type vouched struct {
	provider *config.Introspection
	claims   claims
	refused  *refusal
}

// satisfyIntrospection returns the caller whom the issuer's answer names.
func (s *Server) satisfyIntrospection(ctx context.Context, shown *credentials, q *Requirement, now time.Time) (*caller, *refusal) {
	claims, refused := s.introspect(ctx, shown, q.Introspection, now)
	if refused != nil {
		return nil, refused
	}
	return callerOf(claims, shown, q)
}

// introspect returns what the issuer says of the token if it vouches for it.
// The issuer is asked once a request, also where it does not answer.
func (s *Server) introspect(ctx context.Context, c *credentials, p *config.Introspection, now time.Time) (claims, *refusal) {
	if !c.hasToken {
		return nil, refuse(ReasonCredentialMissing)
	}
	for _, v := range c.vouched {
		if v.provider == p {
			return v.claims, v.refused
		}
	}
	v := vouched{provider: p}
	v.claims, v.refused = s.vouchedFor(ctx, p, c.rawToken, now)
	c.vouched = append(c.vouched, v)
	return v.claims, v.refused
}

func (s *Server) vouchedFor(ctx context.Context, p *config.Introspection, token string, now time.Time) (claims, *refusal) {
	if !isBearerText(token) {
		return nil, refuse(ReasonTokenMalformed)
	}
	found, err := s.introspectors.ask(ctx, p, token)
	switch {
	case err != nil:
		return nil, refuseFor(ReasonIntrospectionUnavailable, err)
	case !found.active:
		return nil, refuse(ReasonTokenInactive)
	}
	if refused := found.claims.judgeIntrospected(p, now); refused != nil {
		return nil, refused
	}
	if refused := s.checkRevoked(found.claims); refused != nil {
		return nil, refused
	}
	return found.claims, nil
}

// isBearerText reports whether a text is a b64token (RFC 6750, section 2.1) of
// a bounded length: what is not is no token of any issuer's.
func isBearerText(token string) bool {
	if token == "" || len(token) > MaxTokenBytes {
		return false
	}
	padding := false
	for i := range len(token) {
		switch c := token[i]; {
		case c == '=':
			padding = true
		case padding:
			return false
		case !inAlphabet(c) && c != '~' && c != '+' && c != '/':
			return false
		}
	}
	return token[0] != '='
}

// judgeIntrospected decides whether an answer holds for the provider at the
// time now. Its members are all optional (RFC 7662, section 2.2): that the
// token is active the issuer has said. What is there must be well-formed.
func (c claims) judgeIntrospected(p *config.Introspection, now time.Time) *refusal {
	if p.Issuer != "" {
		if refused := c.checkIssuer(p.Issuer); refused != nil {
			return refused
		}
	}
	if len(p.Audiences) > 0 {
		if refused := c.checkAudience(p.Audiences); refused != nil {
			return refused
		}
	}
	if _, there := c["exp"]; !there {
		if refused := c.checkBegins(now, p.ClockSkew.Or(defaultSkew)); refused != nil {
			return refused
		}
	} else if refused := c.checkTimes(now, p.ClockSkew.Or(defaultSkew)); refused != nil {
		return refused
	}
	_, subOK := c.text("sub")
	_, scopesOK := c.scopes()
	if !subOK || !scopesOK {
		return refuse(ReasonTokenClaimsInvalid)
	}
	return nil
}

// checkBegins is checkTimes for what names no end.
func (c claims) checkBegins(now time.Time, skew time.Duration) *refusal {
	for _, name := range []string{"nbf", "iat"} {
		at, there, ok := c.date(name)
		switch {
		case !ok:
			return refuse(ReasonTokenClaimsInvalid)
		case there && now.Before(at.Add(-skew)):
			return refuse(ReasonTokenNotYetValid)
		}
	}
	return nil
}
