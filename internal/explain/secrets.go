package explain

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/routing"
)

// secrets are where requests to a gateway carry credentials: headers, in lower
// case, and query parameters. What is there is in no report.
type secrets struct{ headers, parameters []string }

func credentials(c *config.Config) secrets {
	s := secrets{headers: []string{"authorization", "proxy-authorization", "cookie"}}
	for _, k := range c.Auth.APIKey {
		if k.From.Query != "" {
			s.parameters = append(s.parameters, k.From.Query)
		} else {
			s.headers = append(s.headers, strings.ToLower(k.KeyHeader()))
		}
	}
	return s
}

// notShown stands in the place of a credential.
const notShown = "(not-shown)"

// hide takes the credentials out of what is said of the request and its routes.
func (s secrets) hide(r *Report, asked routing.Request) {
	r.Request.Path = hidden(asked.Path, s.parameters, nil)
	_, query, _ := strings.Cut(asked.Path, "?")
	for i := range r.Candidates {
		for j := range r.Candidates[i].Reasons {
			reason := &r.Candidates[i].Reasons[j]
			switch {
			case reason.Rule == routing.RuleHeader && slices.Contains(s.headers, strings.ToLower(reason.Name)):
				value, _ := asked.Header(strings.ToLower(reason.Name))
				reason.Text = without(reason.Text, value)
			case reason.Rule == routing.RuleQuery && slices.Contains(s.parameters, reason.Name):
				for pair := range strings.SplitSeq(query, "&") {
					_, value, _ := strings.Cut(pair, "=")
					reason.Text = without(reason.Text, value)
				}
			}
		}
	}
}

// without is a text that quotes a value, without it.
func without(text, value string) string {
	if value == "" {
		return text
	}
	return strings.ReplaceAll(text, fmt.Sprintf("is %q;", value), "is "+notShown+";")
}

// hidden is a path whose query parameters of some names have no value to be
// seen, and those of others are not there at all.
func hidden(path string, names, gone []string) string {
	plain, query, found := strings.Cut(path, "?")
	if !found {
		return path
	}
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if slices.Contains(gone, name) {
			continue
		}
		if read, err := url.QueryUnescape(name); slices.Contains(names, name) || err == nil && slices.Contains(names, read) {
			pair = name + "=" + notShown
		}
		kept = append(kept, pair)
	}
	if len(kept) == 0 {
		return plain
	}
	return plain + "?" + strings.Join(kept, "&")
}

// withoutKeys are the query parameters that a policy takes away once they are judged.
func withoutKeys(p *authz.Policy) []string {
	var names []string
	for q := range p.Reads().Requirements() {
		if q.APIKey != nil && q.APIKey.From.Query != "" {
			names = append(names, q.APIKey.From.Query)
		}
	}
	return names
}
