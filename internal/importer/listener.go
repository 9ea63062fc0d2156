package importer

import (
	"cmp"
	"net/url"
	"strings"
)

// Listener is how clients reach the routes. The zero value is without TLS.
type Listener struct {
	// Cert and Key are the paths of a certificate and its key, as the config is to name
	// them: both, or none.
	Cert, Key string
	// ClientCA is the path of the authorities of client certificates. Empty asks for
	// none, and operations that ask for one (mutualTLS) are no routes.
	ClientCA string
}

// Rule is why a listener cannot be so; empty where it can.
func (l Listener) Rule() string {
	switch {
	case (l.Cert == "") != (l.Key == ""):
		return "must be given together"
	case l.ClientCA != "" && l.Cert == "":
		return "is given without them: client certificates are shown in TLS alone"
	}
	return ""
}

func (l Listener) text() string {
	if l.Cert == "" {
		return "  - {name: public, address: \"0.0.0.0:8080\"}\n"
	}
	text := "  - name: public\n    address: \"0.0.0.0:8443\"\n    tls:\n      certificates: [{cert: " + quoted(l.Cert) + ", key: " + quoted(l.Key) + "}]\n"
	if l.ClientCA != "" {
		text += "      clientCA: " + quoted(l.ClientCA) + " # asked for, and verified where it is shown\n"
	}
	return text
}

// listener tells where the document promises TLS, and nothing is said of a
// certificate.
func (i *importing) listener() {
	if i.options.Listener.Cert != "" {
		return
	}
	for _, s := range i.allServers() {
		if u, err := url.Parse(s); err == nil && strings.EqualFold(u.Scheme, "https") {
			i.note("the servers are of https, and the listener is not: say --tls-cert and --tls-key, or see to it that TLS ends in front of it")
			return
		}
	}
}

// allServers are the URLs of all servers.
func (i *importing) allServers() []string {
	var all []string
	for _, s := range i.doc.Servers {
		all = append(all, s.URL)
	}
	for _, path := range sortedPaths(i.doc) {
		item := i.doc.Paths.Value(path)
		for _, s := range item.Servers {
			all = append(all, s.URL)
		}
		for _, op := range item.Operations() {
			if op.Servers == nil {
				continue
			}
			for _, s := range *op.Servers {
				all = append(all, s.URL)
			}
		}
	}
	return all
}

// portOf is that of a URL, or the usual one of its scheme.
func portOf(u *url.URL) string {
	usual := "80"
	if withTLS[u.Scheme] {
		usual = "443"
	}
	return cmp.Or(u.Port(), usual)
}
