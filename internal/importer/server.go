package importer

import (
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/openapi"
)

// server are servers of one base path.
type server struct {
	// base is the path before that of an operation: empty, or /v1.
	base string
	// hosts are none where some server has none: it is wherever the document is.
	hosts []string
}

// serversOf are those of an operation, by base path.
func (i *importing) serversOf(item *openapi3.PathItem, op *openapi3.Operation) []server {
	list := i.doc.Servers
	if len(item.Servers) > 0 {
		list = item.Servers
	}
	if op.Servers != nil && len(*op.Servers) > 0 {
		list = *op.Servers
	}
	var all []server
	everywhere := map[string]bool{}
	for _, text := range i.urlsOf(list) {
		host, base, ok := i.serverURL(text)
		if !ok {
			continue
		}
		at := slices.IndexFunc(all, func(known server) bool { return known.base == base })
		if at < 0 {
			all = append(all, server{base: base})
			at = len(all) - 1
		}
		if host == "" {
			everywhere[base] = true
		} else if !slices.Contains(all[at].hosts, host) {
			all[at].hosts = append(all[at].hosts, host)
		}
	}
	for n := range all {
		if everywhere[all[n].base] {
			all[n].hosts = nil
		}
	}
	if len(all) == 0 {
		return []server{{}}
	}
	return all
}

// urlsOf are the URLs of servers, with their variables filled in.
func (i *importing) urlsOf(list openapi3.Servers) []string {
	var all []string
	for _, s := range list {
		urls, defaulted := openapi.ServerURLs(s)
		for _, name := range defaulted {
			i.note("the server %s has the variable %s: it is written with its default, %s", s.URL, name, s.Variables[name].Default)
		}
		all = append(all, urls...)
	}
	return all
}

// serverURL is the host and base path of a server.
func (i *importing) serverURL(text string) (host, base string, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.RawQuery != "" || u.Fragment != "" {
		i.note("the server %s is left out: it is no URL of a server", text)
		return "", "", false
	}
	base = strings.TrimRight(u.EscapedPath(), "/")
	if base != "" && base[0] != '/' {
		base = "/" + strings.TrimLeft(base, "./")
	}
	if base == "/" {
		base = ""
	}
	host = strings.ToLower(u.Hostname())
	if host != "" && config.HostRule(host) != "" {
		i.note("the server %s: its host is not matched (%s)", text, config.HostRule(host))
		host = ""
	}
	return host, base, true
}
