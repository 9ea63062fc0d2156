package authz

import (
	"cmp"
	"net/url"
	"strings"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// request is what the judge reads of a CheckRequest.
//
// Envoys that we configure send encode_raw_headers: header_map, with the bytes
// of each header line, duplicates kept. Other Envoys send the headers map:
// duplicates joined by commas, bytes that are not UTF-8 replaced.
type request struct {
	// route and policy are the route's own words, from its context extensions, and
	// so is backend, the one that Envoy has picked; empty where the route answers by
	// itself.
	route, policy, backend string
	// pinned: a pin has picked it.
	pinned bool
	// remembers is what its Envoy remembers of what it is told.
	remembers remembered
	// unrouted: its Envoy names neither. They are then found by a Router, and own
	// are the headers that only the gateway may set, which count as not there.
	unrouted bool
	own      []string
	// peerIP is the address that has connected to Envoy. Empty where Envoy names
	// none. See clientIP.
	peerIP string
	// certificate is the client's, percent-encoded PEM, which Envoy has verified.
	// Empty where the client has shown none, or its listener asks for none.
	certificate string
	// host, method and path, which has the query, are as they came, undecoded.
	host, method, path string
	// lines are the header lines; nil where joined is used.
	lines []headerLine
	// joined are the headers of an Envoy without encode_raw_headers.
	joined map[string]string
	// body is the request's, where the route has Envoy send it.
	body string
	// bodyIsText: Envoy sends it as a text, in which bytes that are not UTF-8 are
	// replaced by exclamation marks.
	bodyIsText bool
}

// headerLine is one line of the headers, with its bytes.
type headerLine struct{ name, value string }

// remembered is what an Envoy remembers, by its name in a route's context extensions
// (xds/route.go). The empty string is nothing.
type remembered string

const (
	ofCertificates remembered = "true"
	ofVerdicts     remembered = "verdicts"
)

func newRequest(m *authv3.CheckRequest) *request {
	attributes := m.GetAttributes()
	extensions := attributes.GetContextExtensions()
	http := attributes.GetRequest().GetHttp()
	route, hasRoute := extensions["route"]
	policy, hasPolicy := extensions["policy"]
	return &request{
		route:       route,
		policy:      policy,
		backend:     extensions["backend"],
		pinned:      extensions["pinned"] != "",
		remembers:   remembered(extensions["remembers"]),
		unrouted:    !hasRoute && !hasPolicy,
		peerIP:      attributes.GetSource().GetAddress().GetSocketAddress().GetAddress(),
		certificate: attributes.GetSource().GetCertificate(),

		host:   http.GetHost(),
		method: http.GetMethod(),
		path:   http.GetPath(),
		lines:  headerLines(http.GetHeaderMap().GetHeaders()),
		joined: http.GetHeaders(),
		body:   cmp.Or(string(http.GetRawBody()), http.GetBody()),

		bodyIsText: len(http.GetRawBody()) == 0 && http.GetBody() != "",
	}
}

// header returns the value of a header, and how many lines of it there are.
// The name is compared without regard to case.
func (r *request) header(name string) (value string, count int) {
	if r.isOwn(name) {
		return "", 0
	}
	if len(r.lines) == 0 {
		return r.joinedHeader(name)
	}
	for _, line := range r.lines {
		if !strings.EqualFold(line.name, name) {
			continue
		}
		if count++; count == 1 {
			value = line.value
		}
	}
	return value, count
}

func (r *request) joinedHeader(name string) (value string, count int) {
	for key, v := range r.joined {
		if strings.EqualFold(key, name) {
			value = v
			count++
		}
	}
	return value, count
}

// clientAddressHeader is where Envoys that we configure say who the client is,
// once they have looked at trusted proxies: in their source address a Check has
// whoever has connected. They take away a client's own.
const clientAddressHeader = "x-envoy-external-address"

// clientIP is the client's address. Another's Envoy may pass that header on as a
// client has sent it; it is asked for the one that has connected.
func (r *request) clientIP() string {
	if !r.unrouted {
		if address, count := r.header(clientAddressHeader); count == 1 && address != "" {
			return address
		}
	}
	return r.peerIP
}

// headerLines reads raw_value of each line, which Envoy fills, or else value.
func headerLines(all []*corev3.HeaderValue) []headerLine {
	if len(all) == 0 {
		return nil
	}
	lines := make([]headerLine, len(all))
	for i, h := range all {
		lines[i] = headerLine{h.GetKey(), h.GetValue()}
		if raw := h.GetRawValue(); len(raw) > 0 {
			lines[i].value = string(raw)
		}
	}
	return lines
}

// credentialHeader returns a header that carries a credential. Two lines of
// it, or what may be two lines joined, are refused: Envoy, Gatewright and the
// backend might each take another one. Envoy joins the lines of some headers,
// authorization among them, even when it sends raw ones; but no token and no
// API key holds a comma.
func (r *request) credentialHeader(name string) (string, *refusal) {
	value, count := r.header(name)
	if count > 1 || strings.Contains(value, ",") {
		return "", refuse(ReasonDuplicateCredential)
	}
	return value, nil
}

// limitHeader returns a header that a limit counts by. Two lines of it are
// refused, and so is what may be two lines joined: the limiter would count by
// one, and the backend see both.
func (r *request) limitHeader(name string) (string, *refusal) {
	value, count := r.header(name)
	switch {
	case count > 1, len(r.lines) == 0 && strings.Contains(value, ","):
		return "", refuse(ReasonDuplicateHeader)
	case !utf8.ValidString(value):
		return "", refuse(ReasonMalformedHeader)
	}
	return value, nil
}

// credentialQuery returns the query parameter that carries an API key, without
// its escapes. Its name has to stand there as it is: Envoy takes a parameter
// out by its plain spelling, so an escaped one would reach the backend.
func (r *request) credentialQuery(name string) (string, *refusal) {
	_, query, _ := strings.Cut(r.path, "?")
	value, count := "", 0
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		key, v, _ := strings.Cut(pair, "=")
		if key != name {
			if unescaped, err := url.QueryUnescape(key); err == nil && unescaped == name {
				return "", refuse(ReasonMalformedQuery)
			}
			continue
		}
		value = v
		count++
	}
	if count > 1 {
		return "", refuse(ReasonDuplicateCredential)
	}
	key, err := url.QueryUnescape(value)
	if err != nil {
		// It stays a credential, and one that no store knows.
		return value, nil
	}
	return key, nil
}

// bearer returns the token of an Authorization header: the scheme in any case,
// one space, the token (RFC 6750, section 2.1). ok is false where the header
// is of another scheme, or empty. A token that is not there is an empty one,
// and so malformed.
func bearer(authorization string) (raw string, ok bool) {
	const scheme = "Bearer"
	if len(authorization) < len(scheme) || !strings.EqualFold(authorization[:len(scheme)], scheme) {
		return "", false
	}
	rest := authorization[len(scheme):]
	if rest == "" {
		return "", true
	}
	return rest[1:], rest[0] == ' '
}
