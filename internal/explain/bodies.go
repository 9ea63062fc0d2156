package explain

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/gatewright/gatewright/config"
)

// bodies are what a route does to bodies, in words.
func bodies(r *config.Route) []string {
	var all []string
	if r.MaxBodyBytes > 0 {
		all = append(all, fmt.Sprintf("a request's has at most %d bytes", r.MaxBodyBytes))
	}
	if r.Decompresses(config.OfRequest) {
		all = append(all, "a request's is unpacked (gzip, zstd)")
	}
	if r.RewritesRequests() {
		all = append(all, fmt.Sprintf("a request's of at most %d bytes of JSON is made anew by a template", r.Body.Request.Bound()))
	}
	if r.RewritesResponses() {
		all = append(all, fmt.Sprintf("an answer's (%s) of at most %d bytes of JSON is made anew by a template", statuses(r.Body.Response.Status), r.Body.Response.Bound()))
	}
	if r.Decompresses(config.OfResponse) {
		all = append(all, "an answer's is unpacked (gzip, br, zstd)")
	}
	if len(r.Errors) > 0 {
		all = append(all, "an error's is in the route's own words ("+errorsOf(r.Errors)+")")
	}
	if r.Compresses() {
		var choices []string
		for _, a := range r.Compress.Choices() {
			choices = append(choices, string(a))
		}
		all = append(all, "an answer's is compressed ("+strings.Join(choices, ", ")+")")
	}
	return all
}

func statuses(all []config.BodyStatus) string {
	words := make([]string, len(all))
	for i, s := range all {
		words[i] = s.String()
	}
	return strings.Join(words, ", ")
}

// errorsOf are the statuses of errors that have bodies, and whose they are.
func errorsOf(bodies []*config.ErrorBody) string {
	var words []string
	for _, e := range bodies {
		var all []string
		for _, s := range e.Status {
			all = append(all, s.String())
		}
		words = append(words, fmt.Sprintf("%s of %s", strings.Join(all, ", "), cmp.Or(e.From, config.FromGateway)))
	}
	return strings.Join(words, "; ")
}
