package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/gatewright/gatewright/internal/jsontemplate"
)

// Bound is MaxBytes, or its default.
func (b *RequestBody) Bound() int { return cmp.Or(b.MaxBytes, DefaultTemplateBytes) }

// Bound is MaxBytes, or its default.
func (b *ResponseBody) Bound() int { return cmp.Or(b.MaxBytes, DefaultTemplateBytes) }

// RewritesRequests tells whether the bodies of requests are rewritten.
func (r *Route) RewritesRequests() bool { return r.Body != nil && r.Body.Request != nil }

// RewritesResponses tells whether the bodies of answers are rewritten.
func (r *Route) RewritesResponses() bool { return r.Body != nil && r.Body.Response != nil }

// BodyStatus are the statuses From to To, both included. In the file it is a status
// from 200 to 599, or 2xx, 4xx or 5xx.
type BodyStatus struct{ From, To int }

// Has tells whether a status is in the range.
func (s BodyStatus) Has(status int) bool { return s.From <= status && status <= s.To }

// ReadNode implements NodeReader: a status is an integer in YAML, and a class is a
// string.
func (s *BodyStatus) ReadNode(n *yaml.Node) string {
	const rule = "must be a status from 200 to 599, or 2xx, 4xx or 5xx"
	if n.Kind != yaml.ScalarNode {
		return rule
	}
	if slices.Contains([]string{"2xx", "4xx", "5xx"}, n.Value) {
		first := int(n.Value[0]-'0') * 100
		*s = BodyStatus{first, first + 99}
		return ""
	}
	status, broken := integer(n)
	if broken != "" || status < 200 || status > 599 {
		return rule
	}
	*s = BodyStatus{int(status), int(status)}
	return ""
}

// String is the status as a config file says it.
func (s BodyStatus) String() string {
	if s.From == s.To {
		return strconv.Itoa(s.From)
	}
	return fmt.Sprintf("%dxx", s.From/100)
}

// told are those of what the templates of bodies read of the caller.
func (b *Body) told() []string {
	var names []string
	for _, reads := range b.reads() {
		for _, name := range reads.Claims {
			names = append(names, TemplatePart{Variable: "claims", Name: name}.Told())
		}
		if reads.User {
			names = append(names, "user")
		}
		if reads.Tenant {
			names = append(names, "tenant")
		}
	}
	return names
}

func (b *Body) reads() []jsontemplate.Reads {
	var out []jsontemplate.Reads
	if b != nil && b.Request != nil {
		out = append(out, b.Request.Reads)
	}
	if b != nil && b.Response != nil {
		out = append(out, b.Response.Reads)
	}
	return out
}
