package routing

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/config"
)

// Reason is something that speaks against a route.
type Reason struct {
	// Rule is what it is about.
	Rule Rule `json:"rule"`
	// Name is the header's or the parameter's, as the config writes it.
	Name string `json:"name,omitempty"`
	// By is, under RuleOrder, what puts the chosen route first.
	By config.Precedence `json:"by,omitempty"`
	// Text says it to people.
	Text string `json:"text"`
}

// Rule is a part of a match, or the order of routes that match.
type Rule string

// The rules. All but the last are why a route does not match.
const (
	RuleHost   Rule = "host"
	RuleMethod Rule = "method"
	RulePath   Rule = "path"
	RuleHeader Rule = "header"
	RuleQuery  Rule = "query"
	RuleOrder  Rule = "order"
)

// mismatches are all reasons why the route does not match, without their texts.
func (e *entry) mismatches(q *inquiry) []Reason {
	var all []Reason
	if !e.takesHost(q.host) {
		all = append(all, Reason{Rule: RuleHost})
	}
	if !e.path.Matches(q.path) {
		all = append(all, Reason{Rule: RulePath})
	}
	if !e.takesMethod(q.Method) {
		all = append(all, Reason{Rule: RuleMethod})
	}
	for i := range e.conditions {
		c := &e.conditions[i]
		if value, ok := q.value(c.field); !c.holds(value, ok) {
			all = append(all, Reason{Rule: c.rule(), Name: c.written})
		}
	}
	return all
}

func (e *entry) takesHost(host string) bool {
	return len(e.route.Match.Hosts) == 0 || slices.ContainsFunc(e.route.Match.Hosts, func(pattern string) bool {
		return config.HostCovers(lower(pattern), host)
	})
}

// sharedSegments is how many segments of the path's pattern fit, from the left.
func (e *entry) sharedSegments(path string) int {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, s := range e.path.Segments {
		if i == len(parts) || !fits(s, parts[i]) {
			return i
		}
	}
	return len(e.path.Segments)
}

func fits(s config.Segment, part string) bool {
	if s.Variable != "" {
		return part != ""
	}
	return part == s.Literal
}

// comesAfter is why a route that matches was not chosen.
func comesAfter(chosen, loser *config.Route) Reason {
	decision, _ := config.Decide(chosen.Specificity(), loser.Specificity())
	return Reason{Rule: RuleOrder, By: decision.By}
}

// text is a reason against an entry in words.
func text(r Reason, e *entry, q *inquiry, chosen *entry) string {
	switch r.Rule {
	case RuleHost:
		return fmt.Sprintf("the host %s is not %s", q.host, oneOf(e.route.Match.Hosts))
	case RuleMethod:
		return fmt.Sprintf("the method %s is not %s", q.Method, oneOf(e.route.Match.Methods))
	case RulePath:
		return "the path does not fit: " + pathText(e.path, q.path)
	case RuleOrder:
		return orderText(chosen.route, e.route)
	}
	i := slices.IndexFunc(e.conditions, func(c condition) bool { return c.rule() == r.Rule && c.written == r.Name })
	return e.conditions[i].text(q)
}

func oneOf(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	return "one of " + strings.Join(values, ", ")
}

// pathText says where a path and a pattern that does not take it part.
func pathText(pattern config.PathPattern, path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, s := range pattern.Segments {
		switch {
		case i == len(parts):
			return lengthText(pattern, len(parts))
		case fits(s, parts[i]):
		case s.Variable != "":
			return fmt.Sprintf("%s wants something as segment %d, the request has nothing there", pattern, i+1)
		default:
			return fmt.Sprintf("%s wants %q as segment %d, the request has %q", pattern, s.Literal, i+1, parts[i])
		}
	}
	return lengthText(pattern, len(parts))
}

func lengthText(pattern config.PathPattern, has int) string {
	least := ""
	if pattern.Rest {
		least = "at least "
	}
	plural := "s"
	if len(pattern.Segments) == 1 {
		plural = ""
	}
	return fmt.Sprintf("%s wants %s%d segment%s, the request has %d", pattern, least, len(pattern.Segments), plural, has)
}

func orderText(chosen, loser *config.Route) string {
	d, _ := config.Decide(chosen.Specificity(), loser.Specificity())
	after := "is less specific than " + chosen.Name
	switch d.By {
	case config.ByPriority:
		after = "comes after " + chosen.Name
	case config.ByName:
		after = "is as specific as " + chosen.Name + ", so their names decide"
	}
	return fmt.Sprintf("matches too, but %s: its %s %s, that one's %s", after, d.Subject, d.Loser, d.Winner)
}

func (c *condition) rule() Rule {
	if c.query {
		return RuleQuery
	}
	return RuleHeader
}

// text says what a request has, and what is wanted instead.
func (c *condition) text(q *inquiry) string {
	what := "the header "
	if c.query {
		what = "the query parameter "
	}
	has := "is not there"
	if value, ok := q.value(c.field); ok {
		has = fmt.Sprintf("is %q", value)
	}
	return what + c.written + " " + has + "; the route wants " + wanted(c.want)
}

func wanted(m config.ValueMatch) string {
	switch {
	case m.Absent:
		return "it not to be there"
	case m.Present:
		return "any value"
	case m.Prefix != "":
		return fmt.Sprintf("a value that begins with %q", m.Prefix)
	case m.Regex != "":
		return fmt.Sprintf("a value that fits %q", m.Regex)
	default:
		return fmt.Sprintf("the value %q", m.Exact)
	}
}
