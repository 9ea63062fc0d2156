package openapi

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// maxServerURLs bounds how many URLs a server with variables stands for.
const maxServerURLs = 64

// ServerURLs are those that a server stands for: where a variable has a list of values
// one for each, and where it has none, or too many, its default. defaulted are the
// variables of the second kind.
func ServerURLs(s *openapi3.Server) (urls, defaulted []string) {
	urls = []string{s.URL}
	for _, name := range slices.Sorted(maps.Keys(s.Variables)) {
		v, place := s.Variables[name], "{"+name+"}"
		if v == nil || !strings.Contains(s.URL, place) {
			continue
		}
		values := v.Enum
		if len(values) == 0 || len(values)*len(urls) > maxServerURLs {
			values, defaulted = []string{v.Default}, append(defaulted, name)
		}
		urls = filledIn(urls, place, values)
	}
	return urls, defaulted
}

// filledIn are texts with each of some values in a place of theirs.
func filledIn(texts []string, place string, values []string) []string {
	var out []string
	for _, text := range texts {
		for _, value := range values {
			out = append(out, strings.ReplaceAll(text, place, value))
		}
	}
	return out
}

// bases are the base paths of an operation's servers, each once.
func bases(doc *openapi3.T, item *openapi3.PathItem, op *openapi3.Operation) []string {
	list := doc.Servers
	if len(item.Servers) > 0 {
		list = item.Servers
	}
	if op.Servers != nil && len(*op.Servers) > 0 {
		list = *op.Servers
	}
	var all []string
	for _, s := range list {
		urls, _ := ServerURLs(s)
		for _, text := range urls {
			if base, ok := basePath(text); ok && !slices.Contains(all, base) {
				all = append(all, base)
			}
		}
	}
	if len(all) == 0 {
		return []string{""}
	}
	return all
}

func basePath(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil {
		return "", false
	}
	base := strings.Trim(u.EscapedPath(), "./")
	if base == "" {
		return "", true
	}
	return "/" + base, true
}
