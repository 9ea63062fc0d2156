package authz

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// rememberedEarly is how long before a token expires an Envoy has to forget what it
// remembers of it: its clock is another one.
const rememberedEarly = 2 * time.Second

// Rememberable tells whether verdicts by a policy that let somebody pass depend on nothing
// of a request but a token, where it shows no API key that the policy takes: Envoys may
// then remember them (xds/memory.go).
func (p *Policy) Rememberable() bool {
	if len(p.AnyOf) == 0 || len(p.AllOf) > 0 || len(p.Shadow) > 0 || p.Split != nil || p.Holds || len(p.Tells) > 0 ||
		p.Validation != nil || p.LimitsInFilter || p.Strangers || p.Challenges {
		return false
	}
	tokens := false
	for i := range p.AnyOf {
		q := &p.AnyOf[i]
		switch {
		case q.Rule != "": // which may read anything
			return false
		case q.JWT != nil && !q.JWT.CertificateBound:
			tokens = true
		case q.APIKey != nil && q.APIKey.From.Query == "":
		default:
			return false
		}
	}
	return tokens
}

// tokenAlone is when the token expires of a caller whom nothing else names, by a policy
// whose verdicts may be remembered; zero of all others.
func tokenAlone(p *Policy, c *caller) time.Time {
	if c.by == nil || c.by.JWT == nil || !p.Rememberable() {
		return time.Time{}
	}
	expires, there, ok := claims(c.Claims).date("exp")
	if !there || !ok {
		return time.Time{}
	}
	return expires
}

// told has a request judged, and a verdict told that its Envoy may remember.
//
// What it was judged by is known if nothing has changed between before and after. (That the
// epoch is the same would not do: keys can become again what they were. A verdict by a key
// that was there for a moment must not be told with the epoch of times when it was not.)
func (s *Server) told(rq *request, judge func() Verdict) Verdict {
	if rq.remembers != ofVerdicts {
		return judge()
	}
	epoch, before := s.epoch(rq.policy)
	v := judge()
	if _, after := s.epoch(rq.policy); epoch != "" && after == before {
		v.remember = rememberTold(v, epoch)
	}
	return v
}

// rememberTold is what an Envoy is told of a request that passes, where whoever shows the
// same token to the same policy, and no other credential, passes as well, as the same
// caller: a line for each thing, as envoy/module/src/verdict.rs reads it. Empty is nothing.
func rememberTold(v Verdict, epoch string) string {
	until := v.expires.Add(-rememberedEarly)
	switch {
	case v.Reason != ReasonAllowed || v.expires.IsZero():
		return ""
	case v.Limits.Limit != "" || len(v.Limits.Handles) > 0 || len(v.LimitKeys) > 0:
		return "" // the next one has to be counted, too
	case v.Reroute != "" || v.Admission.Probe != "" || v.Broken != "" || v.plan != "" || len(v.removeQuery) > 0 || v.shadow != "" || v.Admission.Shadow || v.invalid:
		return ""
	}
	var b strings.Builder
	line := func(words ...string) { b.WriteString(strings.Join(words, " ") + "\n") }
	line("epoch", epoch)
	line("until", fmt.Sprint(until.UnixMilli()))
	texts := []string{v.Identity.User, v.Identity.Tenant}
	line("user", validText(v.Identity.User))
	line("tenant", validText(v.Identity.Tenant))
	for _, h := range v.headers {
		line("set", h.name, validText(h.value))
		texts = append(texts, h.value)
	}
	for _, name := range v.removeHeaders {
		line("remove", name)
	}
	if slices.ContainsFunc(texts, func(s string) bool { return strings.ContainsAny(s, "\n\x00") }) {
		return "" // lines could not be told apart
	}
	return b.String()
}
