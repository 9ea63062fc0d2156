package explain

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Write writes the report for people.
func (r Report) Write(w io.Writer) error {
	var b page
	b.line(0, "%s %s%s", r.Request.Method, r.Request.Host, r.Request.Path)
	for _, note := range r.Notes {
		b.line(1, "%s", note)
	}
	if r.Refused != nil {
		b.line(0, "answer: %s", r.Refused)
	}
	if r.Chosen != nil {
		b.line(0, "route: %s  (%s)", r.Route, r.Chosen.Match.Path)
	}
	if len(r.Candidates) > 0 {
		b.line(0, "not taken:")
	}
	for _, c := range r.Candidates {
		for i, reason := range c.Reasons {
			name := c.Name
			if i > 0 {
				name = strings.Repeat(" ", len(name))
			}
			b.line(1, "%s  %s", name, reason.Text)
		}
	}
	if r.Omitted > 0 {
		b.line(1, "and %d more", r.Omitted)
	}
	if r.Auth != nil {
		r.Auth.write(&b)
	}
	for _, l := range r.Limits {
		l.write(&b)
	}
	writePlacements(&b, r.Placement)
	if r.Then != nil {
		r.Then.write(&b)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the explanation: %w", err)
	}
	return nil
}

func (a *Answer) String() string {
	if a.Reason == "" {
		return fmt.Sprintf("%d: %s", a.Status, a.Detail)
	}
	return fmt.Sprintf("%d %s: %s", a.Status, a.Reason, a.Detail)
}

func (a *Auth) write(b *page) {
	switch {
	case a.Public && a.Denied == nil && a.Shadow != nil:
		b.line(0, "auth: passes, all that is asked is in shadow")
	case a.Public && a.Denied == nil:
		b.line(0, "auth: public, nothing is asked")
		return
	default:
		b.line(0, "auth: %s", a.outcome())
	}
	if len(a.AnyOf) > 0 && len(a.AllOf) > 0 {
		b.line(1, "one of these:")
	}
	for _, q := range a.AnyOf {
		q.write(b)
	}
	if len(a.AllOf) > 0 {
		b.line(1, "all of these, of one caller:")
	}
	for _, q := range a.AllOf {
		q.write(b)
	}
	if a.Shadow == nil {
		return
	}
	b.line(0, "in shadow, not enforced: %s", a.Shadow.outcome())
	if len(a.AllOf) > 0 {
		b.line(1, "one of these, beside all that the route asks of everybody:")
	}
	for _, q := range a.Shadow.AnyOf {
		q.write(b)
	}
}

// outcome is what requirements come to, in words.
func (a *Auth) outcome() string {
	switch {
	case a.Denied != nil:
		return "denied, " + a.Denied.String()
	case a.Verdict == Unknown:
		return "unknown, it depends on what cannot be verified here"
	case a.Anonymous:
		return "passes without identity, since there is no credential"
	default:
		return "passes"
	}
}

func (q Requirement) write(b *page) {
	b.line(1, "%s %s: %s", q.Kind, q.Provider, q.Verdict)
	if q.Denied != nil {
		b.line(2, "%s", q.Denied)
	}
	if q.Unverified != "" {
		b.line(2, "%s", q.Unverified)
	}
	b.line(2, "looked for in %s", q.LookedFor)
	if len(q.Asks) > 0 {
		b.line(2, "asks for %s", strings.Join(q.Asks, "; "))
	}
	if t := q.Token; t != nil {
		var says []string
		for _, member := range [][2]string{
			{"alg", t.Algorithm}, {"kid", t.KeyID}, {"iss", t.Issuer}, {"aud", strings.Join(t.Audiences, ", ")},
			{"scopes", strings.Join(t.Scopes, " ")}, {"exp", t.Expires}, {"nbf", t.NotBefore}, {"iat", t.IssuedAt},
		} {
			if member[1] != "" {
				says = append(says, fmt.Sprintf("%s %q", member[0], member[1]))
			}
		}
		b.line(2, "the token says %s", strings.Join(says, "; "))
	}
}

func (l Limit) write(b *page) {
	b.line(0, "limit %s: %s", l.Name, l.Says)
	if l.Shadow {
		b.line(1, "in shadow: it denies nobody")
	}
	if l.Plan != "" {
		b.line(1, "by the caller's plan, %s", l.Plan)
	}
	for _, plan := range slices.Sorted(maps.Keys(l.Plans)) {
		b.line(1, "in plan %s: %s", plan, l.Plans[plan])
	}
	for _, part := range l.Key {
		value := fmt.Sprintf("%q", part.Value)
		switch {
		case part.Unknown != "":
			value = "unknown: " + part.Unknown
		case part.Value == "":
			value = "nothing: all who have none count together"
		}
		b.line(1, "by %s: %s", part.Part, value)
	}
	switch {
	case l.Cost.Unknown != "":
		b.line(1, "costs what %s says, unknown: %s", l.Cost.By, l.Cost.Unknown)
	case l.Cost.By != "":
		b.line(1, "costs %d, as %s says", l.Cost.Value, l.Cost.By)
	case l.Cost.Value != 1:
		b.line(1, "costs %d", l.Cost.Value)
	}
	if l.Unidentified {
		b.line(1, "charged also where the credential is refused")
	}
}

func (o *Outcome) write(b *page) {
	b.line(0, "then, where it passes:")
	if o.Answer != nil {
		b.line(1, "answer %s", o.Answer)
	}
	for _, to := range o.Backends {
		b.line(1, "to %s (%s) at %s", to.Name, to.Share, strings.Join(to.Endpoints, ", "))
		to.Breaker.write(b)
	}
	for _, said := range [][2]string{
		{"rollout", o.Rollout}, {"pin", o.Pinned}, {"sticky", o.Sticky}, {"document", o.Document}, {"call", o.Call}, {"the backend sees", o.Host + o.Path}, {"mirror", strings.Join(o.Mirrors, "; ")}, {"headers", strings.Join(o.Changes, "; ")}, {"bodies", strings.Join(o.Bodies, "; ")},
		{"timeout", o.Timeout}, {"retries", o.Retry}, {"upgrades", o.Upgrade}, {"CORS", o.CORS},
	} {
		if said[1] != "" {
			b.line(1, "%s: %s", said[0], said[1])
		}
	}
}

// page is text that is being written, line by line.
type page struct{ strings.Builder }

func (p *page) line(depth int, format string, args ...any) {
	p.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(p, format, args...)
	p.WriteByte('\n')
}
