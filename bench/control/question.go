package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/gatewright/gatewright/config"
)

// question is a request, and the body of the 200 that is the right answer.
type question struct {
	request []byte
	want    string
}

// ask is a question that the route takes.
func ask(r *config.Route, want string) question {
	path := variable.ReplaceAllString(r.Match.Path, "42")
	if prefix, found := strings.CutSuffix(path, "/**"); found {
		path = prefix + "/a/b"
	}
	credential := ""
	if !r.Auth.Public {
		credential = "Authorization: Bearer " + theIssuer().token + "\r\n"
	}
	return question{
		request: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, r.Match.Hosts[0], credential),
		want:    want,
	}
}

var variable = regexp.MustCompile(`\{[^}]*\}`)

// check is nil for the right answer.
func (q question) check(a answer) error {
	if a.status != http.StatusOK || string(a.body) != q.want {
		return fmt.Errorf("%.60q: status %d, body %.60q, want %q", q.request, a.status, a.body, q.want)
	}
	return nil
}

// sampled are questions for the first, the middle and the last routes, three of
// each, which are of every kind where one host has them.
func sampled(routes []*config.Route, s size) []question {
	var out []question
	for _, begin := range []int{0, (s.routes - 1) / 2, s.routes - 1} {
		for step := range 3 {
			i := begin + (step-1)*s.hosts
			if i >= 0 && i < s.routes {
				out = append(out, ask(routes[i], routes[i].Respond.Body))
			}
		}
	}
	return out
}
