package authz

import (
	"strings"

	"github.com/gatewright/gatewright/internal/rule"
)

// compile compiles the requirement's rule. Validation has done so before. Should
// a rule that cannot be compiled get here all the same, the requirement keeps
// its text, and by that never holds.
func (q *Requirement) compile() {
	if q.Rule == "" {
		return
	}
	about := rule.Token
	if q.APIKey != nil {
		about = rule.Key
	}
	if compiled, err := rule.Compile(q.Rule, about); err == nil {
		q.compiled = compiled
	}
}

// checkRule applies the rule to the request; know adds what is known of the
// caller. What CEL says of a failure may quote the request, and is not told.
func (q *Requirement) checkRule(rq *request, know func(*rule.Facts)) *refusal {
	if q.Rule == "" {
		return nil
	}
	if q.compiled == nil {
		return refuse(ReasonInternal)
	}
	facts := factsOf(rq)
	know(facts)
	holds, err := q.compiled.Holds(facts)
	switch {
	case err != nil:
		return refuse(ReasonRuleFailed)
	case !holds:
		return refuse(ReasonRuleDenied)
	}
	return nil
}

// headersByName are the request's headers, by their names in lower case. Those
// that only the gateway may set are not there. Envoy's own, as :path, are not
// either: rules read them as request.path and so on; nor are those by which our
// own Envoys find a route.
func (r *request) headersByName() map[string]string {
	all := map[string]string{}
	add := func(name, value string) {
		name = strings.ToLower(name)
		if name == "" || name[0] == ':' || strings.HasPrefix(name, "x-gatewright-") || r.isOwn(name) {
			return
		}
		if before, twice := all[name]; twice {
			value = before + "," + validText(value)
		}
		all[name] = validText(value)
	}
	for _, line := range r.lines {
		add(line.name, line.value)
	}
	if len(r.lines) == 0 {
		for name, value := range r.joined {
			add(name, value)
		}
	}
	return all
}

// plainHost is a host in lower case, without its port.
func plainHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return strings.ToLower(host)
}
