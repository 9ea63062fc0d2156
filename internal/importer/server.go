package importer

import (
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/gatewright/gatewright/config"
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
	for _, s := range list {
		host, base, ok := i.serverURL(s)
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

// serverURL is the host and base path of a server, its variables at their defaults.
func (i *importing) serverURL(s *openapi3.Server) (host, base string, ok bool) {
	text := s.URL
	for name, v := range s.Variables {
		if v != nil && strings.Contains(text, "{"+name+"}") {
			text = strings.ReplaceAll(text, "{"+name+"}", v.Default)
			i.note("the server %s has variables: they are written with their defaults", s.URL)
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.RawQuery != "" || u.Fragment != "" {
		i.note("the server %s is left out: it is no URL of a server", s.URL)
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
		i.note("the server %s: its host is not matched (%s)", s.URL, config.HostRule(host))
		host = ""
	}
	return host, base, true
}

// Backend is where an API is served.
type Backend struct{ Name, URL string }

// ParseBackend reads NAME=URL. The error is empty where it is one.
func ParseBackend(text string) (b Backend, rule string) {
	name, address, ok := strings.Cut(text, "=")
	u, err := url.Parse(address)
	switch {
	case !ok || config.NameRule(name) != "":
		return b, "must be NAME=URL, with a name of letters, digits, dots, dashes and underscores"
	case err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		!slices.Contains([]string{"http", "h2c", "grpc"}, u.Scheme):
		return b, "must have a URL of http (HTTP/1.1), h2c (HTTP/2) or grpc, with a host and no user, query or fragment"
	}
	return Backend{name, address}, ""
}

// unsaid is where nothing is: requests get 503 until somebody says where.
const unsaid = "http://127.0.0.1:9"

func (b Backend) orUnsaid() Backend {
	if b.URL == "" {
		return Backend{"api", unsaid}
	}
	return b
}

func (b Backend) text() string {
	u, _ := url.Parse(b.URL) // ParseBackend has
	port := u.Port()
	if port == "" {
		port = "80"
	}
	text := "  " + quoted(b.Name) + ":\n    endpoints: [" + quoted(net.JoinHostPort(u.Hostname(), port)) + "]"
	if b.URL == unsaid {
		text += " # where it is, the document does not say"
	}
	switch u.Scheme {
	case "h2c":
		text += "\n    protocol: http2"
	case "grpc":
		text += "\n    protocol: grpc"
	}
	return text + "\n"
}

// rewritten is what the backend sees of a path: its URL, where it has a path, stands
// in place of the server's. Empty is the client's path.
func (b Backend) rewritten(base, pattern string) string {
	u, _ := url.Parse(b.URL)
	if u.Path == "" {
		return ""
	}
	own := strings.TrimRight(u.EscapedPath(), "/")
	if own == base {
		return ""
	}
	return own + pattern
}
