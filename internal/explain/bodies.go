package explain

import (
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
