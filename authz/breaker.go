package authz

import (
	"context"
	"strings"
	"time"

	"github.com/gatewright/gatewright/config"
)

// Breaker tells whether a request may go to its backend. Package breakerpolicy
// implements it.
type Breaker interface {
	// Admit asks for one request of a route that Envoy would send to a backend. It
	// is asked for each, and must not block.
	Admit(route, backend string) Admission
	// Cancel tells that the request which was made a probe goes to no backend, so
	// that the next one may be it.
	Cancel(probe string)
}

// Admission is a breaker's answer for one request. The zero value lets it pass.
type Admission struct {
	// Denied: the breaker is open.
	Denied bool
	// RetryAfter is how long until it may let a request pass again, where it is
	// denied.
	RetryAfter time.Duration
	// Shadow: it would be denied, were the breaker enforced.
	Shadow bool
	// Probe is by what the access log stream tells of the end of a request that is
	// a probe. Empty: it is none.
	Probe string
}

// breakerState is in which state the breaker has answered, for the log: open (the request
// was denied, or went elsewhere), probe, or shadow (open, and not enforced). Empty is
// closed, or no breaker.
func (v Verdict) breakerState() string {
	switch {
	case v.Admission.Denied, v.Broken != "":
		return "open"
	case v.Admission.Probe != "":
		return "probe"
	case v.Admission.Shadow:
		return "shadow"
	}
	return ""
}

// BackendBreaker is a breaker in front of one of a route's backends. When it opens
// and closes is not the judge's: a policy stays the same when that changes.
type BackendBreaker struct {
	// Backend is the name of the backend.
	Backend string
	// Respond is what requests get while it is open. Nil is the denial.
	Respond *config.Respond
	// Fallback is the backend that they go to while it is open. Empty is none.
	Fallback string
}

// breakers are those in front of a route's backends, in the order of the route, and
// of the backends that these fall back on. only is the backend of a route that has
// no other, if it has a breaker.
func breakers(c *config.Config, r *config.Route) (all []BackendBreaker, only string) {
	seen := map[string]bool{}
	add := func(backend string) {
		b := c.Backends[backend]
		if b == nil || b.Breaker == nil || seen[backend] {
			return
		}
		seen[backend] = true
		breaker := BackendBreaker{Backend: backend, Fallback: b.Fallback()}
		if b.Breaker.Fallback != nil {
			breaker.Respond = b.Breaker.Fallback.Respond
		}
		all = append(all, breaker)
	}
	for _, to := range r.To {
		add(to.Backend)
	}
	if len(all) == 1 && len(r.To) == 1 {
		only = all[0].Backend
	}
	for _, to := range r.To {
		add(c.Backends[to.Backend].Fallback())
	}
	return all, only
}

// breakerOf is the breaker in front of a backend; nil where there is none.
func (p *Policy) breakerOf(backend string) *BackendBreaker {
	for i := range p.Breakers {
		if p.Breakers[i].Backend == backend {
			return &p.Breakers[i]
		}
	}
	return nil
}

// admit asks the breaker in front of the backend that the request would go to, if
// there is one. Of a request whose Envoy does not say which backend it has picked it
// is known where the route has no other.
func (s *Server) admit(rq *request, p *Policy, v Verdict) Verdict {
	backend := v.backend(rq)
	if rq.unrouted {
		backend = p.OnlyBackend
	}
	b := p.breakerOf(backend)
	if b == nil || s.breaker == nil {
		return v
	}
	v.Admission = s.breaker.Admit(rq.route, b.Backend)
	if rq.unrouted {
		v.Backend = b.Backend
	}
	if v.Admission.Denied {
		v.Broken = b.Backend
	}
	if v.Admission.Denied && b.Fallback != "" && !rq.unrouted {
		return s.fallBack(rq, p, v, b)
	}
	return v.byBreaker(rq, b)
}

// fallBack sends the request of a breaker that is open to its fallback, if the
// breaker in front of that lets it pass. What that one falls back on takes nothing:
// from one backend to the next the load of all would come to the last.
func (s *Server) fallBack(rq *request, p *Policy, v Verdict, open *BackendBreaker) Verdict {
	b := p.breakerOf(open.Fallback)
	if b == nil {
		v.Admission, v.Reroute = Admission{}, open.Fallback
		return v
	}
	first := v.Admission.RetryAfter
	v.Admission = s.breaker.Admit(rq.route, b.Backend)
	if !v.Admission.Denied {
		v.Reroute = b.Backend
	} else {
		v.Admission.RetryAfter = min(first, v.Admission.RetryAfter) // of the one that is first back
	}
	return v.byBreaker(rq, b)
}

// byBreaker is a verdict with the answer of the breaker that was asked in it.
func (v Verdict) byBreaker(rq *request, b *BackendBreaker) Verdict {
	if v.Admission.Denied {
		v = v.denied(refuse(ReasonCircuitOpen))
		if !rq.isGRPC() {
			v.respond = b.Respond
		}
	}
	return v
}

// limitProbe is limit for a request that is a probe. One that does not pass goes to no
// backend, and one whose Envoy has given it up may not: the probe is given back.
func (s *Server) limitProbe(ctx context.Context, counted count, known []Charge, policy *Policy, v Verdict) (out Verdict) {
	defer func() { // also where it panics
		if out.Reason != ReasonAllowed {
			s.breaker.Cancel(v.Admission.Probe)
			out.Admission.Probe = ""
		}
	}()
	out = s.validate(ctx, counted.rq, policy, s.limit(ctx, counted, known, policy, v))
	if out.Reason == ReasonAllowed && ctx.Err() != nil {
		out = out.denied(refuse(ReasonDeadlineExceeded))
	}
	return out
}

// isGRPC tells a call of gRPC, whose callers cannot read what else is answered.
func (r *request) isGRPC() bool {
	contentType, _ := r.header("content-type")
	rest, ok := strings.CutPrefix(strings.ToLower(contentType), "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}
