package importer

import (
	"net"
	"net/url"
	"strings"

	"github.com/gatewright/gatewright/config"
)

// Backend is where an API is served.
type Backend struct{ Name, URL string }

// ParseBackend reads NAME=URL. The error is empty where it is one.
func ParseBackend(text string) (b Backend, rule string) {
	name, address, ok := strings.Cut(text, "=")
	u, err := url.Parse(address)
	known := false
	if err == nil {
		_, known = protocols[u.Scheme]
	}
	switch {
	case !ok || config.NameRule(name) != "":
		return b, "must be NAME=URL, with a name of letters, digits, dots, dashes and underscores"
	case err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		!known:
		return b, "must have a URL of http, https (HTTP/1.1), h2c, h2 (HTTP/2), grpc or grpcs, with a host and no user, query or fragment"
	case u.Port() == "0":
		return b, "must have a port that can be connected to"
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

// protocols are what a backend speaks, by the scheme of its URL, and withTLS are the
// schemes of those that are spoken to by TLS.
var (
	protocols = map[string]config.Protocol{
		"http": "", "https": "", "h2c": config.ProtocolHTTP2, "h2": config.ProtocolHTTP2, "grpc": config.ProtocolGRPC, "grpcs": config.ProtocolGRPC,
	}
	withTLS = map[string]bool{"https": true, "h2": true, "grpcs": true}
)

func (b Backend) text() string {
	u, _ := url.Parse(b.URL) // ParseBackend has
	text := "  " + quoted(b.Name) + ":\n    endpoints: [" + quoted(net.JoinHostPort(u.Hostname(), portOf(u))) + "]"
	if b.URL == unsaid {
		text += " # where it is, the document does not say"
	}
	if protocol := protocols[u.Scheme]; protocol != "" {
		text += "\n    protocol: " + string(protocol)
	}
	if withTLS[u.Scheme] {
		name := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
		text += "\n    tls: {serverName: " + quoted(name) + "} # vouched for by whom this machine trusts; ca names others"
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
