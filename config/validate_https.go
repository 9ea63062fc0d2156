package config

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"
)

// defaultHSTS is how long a browser remembers where a config does not say, and the
// least that the lists of browsers ask for (https://hstspreload.org).
const defaultHSTS = 365 * 24 * time.Hour

// Age is how long a browser is to remember it.
func (h *HSTS) Age() time.Duration {
	if h.MaxAge == nil {
		return defaultHSTS
	}
	return time.Duration(*h.MaxAge)
}

// https holds a listener to what it can do with TLS, or without.
func (c *checker) https(at *place, l *Listener) {
	c.http3(at, l)
	r := l.RedirectToHTTPS
	if r == nil {
		return
	}
	at = at.key("redirectToHTTPS")
	c.must(l.TLS == nil, at, "must not stand on a listener with tls: who comes there has come by https")
	c.must(len(c.cfg.Listeners) == 0 || slices.ContainsFunc(c.cfg.Listeners, func(l *Listener) bool { return l.RedirectToHTTPS == nil }), at,
		"must not stand on every listener: nothing would be served")
	c.between(at.key("port"), 0, int64(r.Port), 65535)
	c.must(r.Status == 0 || slices.Contains([]int{301, 302, 303, 307, 308}, r.Status), at.key("status"), "must be 301, 302, 303, 307 or 308")
	exists(c, at.key("acmeChallenges"), "backend", r.ACMEChallenges, c.cfg.Backends, new(place).key("backends"))
}

func (c *checker) http3(at *place, l *Listener) {
	c.between(at.key("http3Port"), 0, int64(l.HTTP3Port), 65535)
	if !l.HTTP3 {
		c.must(l.HTTP3Port == 0, at.key("http3Port"), "needs http3: true")
		return
	}
	c.must(l.TLS != nil, at.key("http3"), "needs tls: there is no HTTP/3 without")
	c.must(l.Bound().MaxConnections == 0, at.key("http3"), "must not stand beside bounds.maxConnections, which counts those of TCP alone")
	c.must(l.ProxyProtocol == nil, at.key("http3"), "must not stand beside proxyProtocol: no load balancer says the client's address in front of UDP")
}

// handshakes holds a listener to suites and groups that are good, and to such as go
// together.
func (c *checker) handshakes(at *place, t *ListenerTLS) {
	c.chosen(at.key("cipherSuites"), t.CipherSuites, CipherSuites(), func(name string) string {
		for _, known := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			switch {
			case known.Name != name:
			case slices.Contains(known.SupportedVersions, uint16(tls.VersionTLS13)):
				return "is a suite of TLS 1.3, of which all are accepted"
			default:
				return "is weak: it must have forward secrecy and authenticated encryption (RFC 9325)"
			}
		}
		return ""
	})
	c.must(len(t.CipherSuites) == 0 || t.MinVersion != "1.3", at.key("cipherSuites"), "must not stand beside minVersion 1.3, whose suites are all accepted")
	c.chosen(at.key("curves"), t.Curves, DefaultCurves(), func(string) string { return "" })
	if t.SessionTickets != nil && *t.SessionTickets {
		c.must(t.ClientCA == "", at.key("sessionTickets"), "must not be true beside clientCA: a session that is resumed is not verified anew")
	}
	c.hsts(at.key("hsts"), t.HSTS)
}

// chosen holds a list to some of the known words, each once. why tells what is wrong
// with an unknown one, or "".
func (c *checker) chosen(at *place, values, known []string, why func(string) string) {
	c.words(at, values)
	for i, v := range values {
		if v == "" || slices.Contains(known, v) {
			continue
		}
		rule := why(v)
		if rule == "" {
			rule = c.choiceRule(v, known)
		}
		c.obey(at.index(i), rule)
	}
}

func (c *checker) hsts(at *place, h *HSTS) {
	if h == nil {
		return
	}
	c.must(h.Age()%time.Second == 0, at.key("maxAge"), "must be whole seconds")
	c.must(h.Age() <= 10*defaultHSTS, at.key("maxAge"), fmt.Sprintf("must be at most %s, ten years", Duration(10*defaultHSTS)))
	c.must(!h.Preload || h.IncludeSubDomains && h.Age() >= defaultHSTS, at.key("preload"), "needs includeSubDomains and a maxAge of at least "+
		strings.TrimSuffix(Duration(defaultHSTS).String(), "0m")+", a year: browsers take no other into their lists")
}
