package authz

import (
	"context"
	"time"
)

// Examined is a request that somebody wants to know the judgement of.
type Examined struct {
	// Route is the name of its route.
	Route string
	// Path is the :path, with the query.
	Path string
	// Headers are its header lines, each a name and a value.
	Headers [][2]string
	// Method and Host are the request's, the host as routes are matched by it.
	Method, Host string
	// ClientIP is the client's address; empty is not known.
	ClientIP string
	// ClientCertificate is the client's, in PEM; empty is none.
	ClientCertificate string
	// Split is by what callers are kept on a side of the route's split; nil is by
	// nothing.
	Split *Split
}

// Examination is what a policy makes of a request, as far as it can be told
// without a key store. Nothing is charged.
type Examination struct {
	// Refused is why the request is not judged at all; nil where it is.
	Refused *Denial
	// Anonymous tells that the request passes as nobody's, for want of any
	// credential. The findings are then of no weight.
	Anonymous bool
	// Findings are one for each requirement of the policy's AnyOf, in its order.
	Findings []Finding
	// AllOf are the same of its AllOf.
	AllOf []Finding
	// Mismatch is that what holds in both speaks of two callers; nil where it
	// does not, or where that cannot be told.
	Mismatch *Denial
	// Shadow is what its requirements in shadow make of it; nil where it has none.
	Shadow *Examination
	// Charges are what limits would be charged, and by which keys.
	Charges []Charge
	// CallerKnown tells that the keys of Charges have the caller in them: that
	// the policy asks for none, or that a finding names one, or that none in
	// shadow does where those are all that there are.
	CallerKnown bool
	// Side is the side of Examined.Split that the request goes to.
	Side Side
}

// Denial is why something does not pass.
type Denial struct {
	Reason Reason
	Detail string
}

// Finding is what can be said of a requirement.
type Finding struct {
	Requirement *Requirement
	// Denial is why it does not hold. Nil where it does, unless Unverified.
	Denial *Denial
	// Unverified tells that the credential has not been verified, for want of the
	// issuer's keys or answer, or of a key store. A Denial then holds whatever they say.
	Unverified bool
	// Token is what the token says of itself; nil where there is no such token.
	Token *ShownToken
}

// Holds tells that the requirement holds for certain.
func (f Finding) Holds() bool { return f.Denial == nil && !f.Unverified }

// ShownToken is what a token says of itself, believed or not. What it does not
// say is empty.
type ShownToken struct {
	Algorithm, KeyID, Issuer     string
	ID, Subject                  string
	Audiences, Scopes            []string
	Expires, NotBefore, IssuedAt time.Time
}

// Examine tells what a policy makes of a request, by the very steps of Check.
func (s *Server) Examine(ctx context.Context, p *Policy, e Examined) Examination {
	rq := &request{route: e.Route, method: e.Method, host: e.Host, path: e.Path, peerIP: e.ClientIP, certificate: e.ClientCertificate}
	for _, h := range e.Headers {
		rq.lines = append(rq.lines, headerLine{h[0], h[1]})
	}
	meters := p.limiting()
	refused := rq.countable(meters)
	var shown *credentials
	if refused == nil {
		shown, refused = readCredentials(rq, p)
	}
	if refused != nil {
		return Examination{Refused: denial(refused)}
	}
	x := Examination{Anonymous: !p.Public() && p.AllowAnonymous && shown.none()}
	x.CallerKnown = p.Public() || x.Anonymous
	var id Identity
	doubt := false     // of who the caller is
	var ways []*caller // those of AnyOf, as far as they are known
	for i := range p.AnyOf {
		found, who := s.finding(ctx, shown, &p.AnyOf[i])
		x.Findings = append(x.Findings, found)
		switch {
		case found.Denial != nil || doubt || x.CallerKnown:
		case who == nil:
			doubt = true
		default:
			x.CallerKnown, id = true, who.Identity
		}
		ways = append(ways, who)
	}
	if first := s.examineAll(ctx, shown, p, ways, &x); first != nil && len(p.AnyOf) == 0 && !x.CallerKnown {
		x.CallerKnown, id = true, first.Identity
	}
	counted := s.countOf(rq)
	known := counted.withoutCaller(meters)
	counted = counted.identified(&id, s.termsOf(&id))
	x.Charges = counted.all(meters, known)
	if e.Split != nil {
		x.Side = rq.sideOf(e.Split, &id, x.CallerKnown)
	}
	return s.examineShadow(ctx, p, e, x)
}

// examineShadow adds to an examination what the requirements in shadow make of
// the request.
func (s *Server) examineShadow(ctx context.Context, p *Policy, e Examined, x Examination) Examination {
	if len(p.Shadow) == 0 {
		return x
	}
	shadow := s.Examine(ctx, p.InForce(), e)
	if shadow.Refused != nil { // its form is judged in force
		return Examination{Refused: shadow.Refused}
	}
	x.Shadow = &shadow
	if p.Public() {
		denied, _ := shadow.Overall()
		x.Charges, x.CallerKnown, x.Side = shadow.Charges, shadow.CallerKnown || denied != nil, shadow.Side
	}
	return x
}

// finding is what can be said of one requirement, and the caller if there is one.
func (s *Server) finding(ctx context.Context, shown *credentials, q *Requirement) (Finding, *caller) {
	f := Finding{Requirement: q}
	if q.JWT != nil && shown.hasToken {
		if t, refused := shown.tokenFrom(s.tokens); refused == nil {
			f.Token = t.shown()
		}
	}
	who, refused := s.satisfy(ctx, shown, q, s.clock())
	if refused == nil && q.ClientCertificate != nil {
		f.Unverified = true // Envoy verifies it, in the handshake
	}
	if refused != nil && isUnverified(refused.reason) {
		f.Unverified = true
		if who, refused = nil, nil; q.JWT != nil {
			who, refused = s.unverified(shown, q)
		}
	}
	if refused != nil {
		f.Denial = denial(refused)
	}
	return f, who
}

// isUnverified tells the reasons of what is not at hand here.
func isUnverified(r Reason) bool {
	return r == ReasonJWKSUnavailable || r == ReasonKeyStoreUnavailable || r == ReasonIntrospectionUnavailable
}

// unverified is the caller whom a token names, were its signature good.
func (s *Server) unverified(shown *credentials, q *Requirement) (*caller, *refusal) {
	claims, err := shown.token.claims()
	if err != nil {
		return nil, refuse(ReasonTokenClaimsInvalid)
	}
	if refused := claims.judge(q.JWT, s.clock()); refused != nil {
		return nil, refused
	}
	if refused := s.checkBinding(shown, claims, q.JWT); refused != nil {
		return nil, refused
	}
	return callerOf(claims, shown, q)
}

func (t token) shown() *ShownToken {
	s := &ShownToken{Algorithm: t.alg, KeyID: t.kid}
	claims, err := t.claims()
	if err != nil {
		return s
	}
	s.Issuer, _ = claims.text("iss")
	s.ID, _ = claims.text("jti")
	s.Subject, _ = claims.text("sub")
	s.Audiences, _ = stringOrStrings(claims["aud"])
	s.Scopes, _ = claims.scopes()
	s.Expires, _, _ = claims.date("exp")
	s.NotBefore, _, _ = claims.date("nbf")
	s.IssuedAt, _, _ = claims.date("iat")
	return s
}

func denial(r *refusal) *Denial {
	if r.detail != "" {
		return &Denial{r.reason, r.detail}
	}
	return &Denial{r.reason, r.reason.Meaning()}
}

// Overall is what the findings come to: denied for a reason, or nothing where
// the request passes (ok), or where that cannot be told (not ok).
func (x Examination) Overall() (denied *Denial, ok bool) {
	if x.Refused != nil {
		return x.Refused, false
	}
	if x.Anonymous {
		return nil, true
	}
	denied, ok = anyHolds(x.Findings)
	if denied != nil {
		return denied, false
	}
	for _, f := range x.AllOf {
		if f.Denial != nil {
			return f.Denial, false
		}
		ok = ok && f.Holds()
	}
	if x.Mismatch != nil {
		return x.Mismatch, false
	}
	return nil, ok
}

// anyHolds is what the findings of AnyOf come to. Where there are none it asks
// for nothing.
func anyHolds(findings []Finding) (denied *Denial, ok bool) {
	unknown := false
	for _, f := range findings {
		switch {
		case f.Holds():
			return nil, true
		case f.Denial == nil:
			unknown = true
		case denied == nil || telling(f.Denial.Reason) > telling(denied.Reason):
			denied = f.Denial
		}
	}
	if unknown {
		return nil, false
	}
	return denied, denied == nil
}
