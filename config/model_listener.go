package config

// Listener is one address that Envoy accepts connections on.
type Listener struct {
	// Name is unique among listeners; logs and metrics use it.
	Name string `yaml:"name" required:"true"`
	// Address is an IP address and a port, as 0.0.0.0:8080 or [::]:8080.
	Address string `yaml:"address" required:"true"`
	// TLS terminates TLS on this listener. Nil is plain text.
	TLS *ListenerTLS `yaml:"tls"`
	// HTTP3 offers HTTP/3 beside HTTP/1.1 and HTTP/2: the same address is listened on
	// by UDP, and answers tell of it (alt-svc). Only with TLS.
	HTTP3 bool `yaml:"http3"`
	// HTTP3Port is the port that answers tell of, where clients reach another one
	// than that of Address, as behind a load balancer. 0 means that of Address.
	HTTP3Port int `yaml:"http3Port"`
	// RedirectToHTTPS answers each request by where it is served with TLS: nothing
	// else is served here. Nil redirects none. Only without TLS.
	RedirectToHTTPS *HTTPSRedirect `yaml:"redirectToHTTPS"`
	// RateLimit says who asks for limits on this listener. The default,
	// "service", is Gatewright's own Check: one call a request for identity
	// and limits. "filter" is Envoy's ratelimit filter: a second call, to the
	// standard RateLimitService.
	RateLimit RateLimitPlacement `yaml:"rateLimit"`
	// Placement says where the policies of routes run on this listener. The empty
	// string means auto. A route may say its own, except that none runs inside Envoy
	// where this is service.
	Placement Placement `yaml:"placement"`
	// TrustedHops is how many proxies are in front of this listener. Nil means
	// Config.TrustedHops.
	TrustedHops *int `yaml:"trustedHops"`
	// TrustedProxies are the networks of the proxies in front of this listener, in
	// the place of TrustedHops: each an address, or a prefix as 10.0.0.0/8. Nil
	// means Config.TrustedProxies, unless TrustedHops is said here; an empty list
	// believes nobody.
	TrustedProxies []string `yaml:"trustedProxies"`
	// ProxyProtocol takes the address of the client from a header in front of each
	// connection, in which a load balancer of TCP says it. Nil reads none.
	ProxyProtocol *ProxyProtocol `yaml:"proxyProtocol"`
	// Bounds are what the listener takes of its clients. Nil is the defaults, with
	// Envoy's own words to those who go beyond them; otherwise, also where nothing is
	// in it, they get a problem document.
	Bounds *Bounds `yaml:"bounds"`
	// Trailers passes on the trailers of HTTP/1.1 messages, both ways, as those of
	// HTTP/2 and HTTP/3 always are: what stands behind a chunked body. Backends of
	// HTTP/1.1 have a word on it of their own, Backend.Trailers. Without it they are
	// taken away, which RFC 9110 allows (section 6.5.1).
	Trailers bool `yaml:"trailers"`
	// ForwardExpect passes a client's "Expect: 100-continue" on to the backend, which
	// then says whether it wants the body. Without it the gateway says so by itself,
	// before anybody has looked at the request, and no backend sees the header.
	ForwardExpect bool `yaml:"forwardExpect"`
}

// ProxyProtocol is how a listener reads PROXY protocol headers, of version 1 and 2
// (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt). Whom a header names
// has connected, to all that looks at addresses: logs, limits, TrustedHops and
// TrustedProxies. What else a header of version 2 has is not looked at.
type ProxyProtocol struct {
	// From are the networks of the load balancers, as in TrustedProxies. Whoever
	// connects from elsewhere is closed: a header from there could name anybody.
	From []string `yaml:"from" required:"true" hint:"say which networks the load balancers are in"`
	// Optional takes connections that begin without a header, too, as from whom
	// they come. Otherwise those are closed.
	Optional bool `yaml:"optional"`
}

// HTTPSRedirect is how a listener redirects to the same host and path by https. The
// word true may stand for one without fields.
type HTTPSRedirect struct {
	// Port is the one that clients find TLS at. 0 means 443.
	Port int `yaml:"port"`
	// Status is 301, 302, 303, 307 or 308. 0 means 308, by which a POST stays one.
	Status int `yaml:"status"`
	// ACMEChallenges is the backend that gets the requests by which an ACME authority
	// looks who has the host (RFC 8555, section 8.3): those below
	// /.well-known/acme-challenge/, which are not redirected then. Empty is none.
	ACMEChallenges string `yaml:"acmeChallenges"`
}

// RateLimitPlacement is where the limits of a listener's routes are asked for.
type RateLimitPlacement string

// The placements a listener can choose. The empty string means "service".
const (
	RateLimitService RateLimitPlacement = "service"
	RateLimitFilter  RateLimitPlacement = "filter"
)

// ListenerTLS is how a listener terminates TLS. It offers HTTP/2 and HTTP/1.1 by
// ALPN. Paths are relative as JWKS.File is; the files are read again when they
// change, and what cannot be used then changes nothing.
type ListenerTLS struct {
	// Certificates are chosen by the name that a client asks for (SNI): the one
	// that has it among its DNS names, else the one that has a wildcard for it,
	// else the first, which also serves who asks for no name.
	Certificates []*Certificate `yaml:"certificates"`
	// ACME has further certificates obtained from an authority, and renewed. Nil
	// obtains none; then there must be Certificates.
	ACME *ACME `yaml:"acme"`
	// ClientCA is the path of the PEM bundle of the authorities whose client
	// certificates are taken. Empty asks for none.
	ClientCA string `yaml:"clientCA"`
	// ClientCRL is the path of a PEM bundle of revocation lists: one of each
	// authority in ClientCA. A certificate that one of them names is refused.
	ClientCRL string `yaml:"clientCRL"`
	// ClientCertificate is whether a client must show a certificate. The empty
	// string means optional. Only with ClientCA.
	ClientCertificate ClientCertificateMode `yaml:"clientCertificate"`
	// ForwardClientCertificate tells backends of the client's certificate in the
	// header X-Forwarded-Client-Cert, as Envoy writes it: hash, subject, URI and
	// DNS names. A client's own such header is taken away on every listener.
	ForwardClientCertificate bool `yaml:"forwardClientCertificate"`
	// MinVersion is the lowest TLS version accepted, "1.2" (default) or "1.3".
	MinVersion string `yaml:"minVersion"`
	// CipherSuites are those of TLS 1.2 that are accepted, by IANA's names and in the
	// order in which the server would have them. Nil means CipherSuites. Those of TLS
	// 1.3 are all good, and cannot be chosen.
	CipherSuites []string `yaml:"cipherSuites"`
	// Curves are the groups in which keys are agreed on, the best first. Nil means
	// DefaultCurves.
	Curves []string `yaml:"curves"`
	// SessionTickets lets clients that come back resume their session. Left out, it
	// is true; but with ClientCA it is never so: what is resumed is not verified anew.
	SessionTickets *bool `yaml:"sessionTickets"`
	// HSTS has browsers come by https alone. Nil says nothing to them.
	HSTS *HSTS `yaml:"hsts"`
}

// HSTS is the header Strict-Transport-Security on every answer of a listener (RFC
// 6797), in the place of a backend's own.
type HSTS struct {
	// MaxAge is how long a browser is to remember it, to the second. Left out, it is a
	// year; 0 has browsers forget it.
	MaxAge *Duration `yaml:"maxAge"`
	// IncludeSubDomains says so of all hosts below the one that is asked, too.
	IncludeSubDomains bool `yaml:"includeSubDomains"`
	// Preload asks for a place in the lists that browsers come with. It needs a year
	// and IncludeSubDomains.
	Preload bool `yaml:"preload"`
}

// ClientCertificateMode is whether a client must show a certificate.
type ClientCertificateMode string

// The modes. In both, a certificate that the listener's authorities do not
// vouch for ends the handshake: optional is whether there is one, not whether it
// is good.
const (
	ClientCertificateOptional ClientCertificateMode = "optional"
	ClientCertificateRequired ClientCertificateMode = "required"
)

// Certificate is a PEM certificate chain, the server's own certificate first,
// and its key, by path.
type Certificate struct {
	// Name is the path of the chain as it stands in the file: it is what logs,
	// metrics and xDS call the certificate by.
	Name string `yaml:"-"`
	Cert string `yaml:"cert" required:"true"`
	Key  string `yaml:"key" required:"true"`
}

// ACME is how certificates are obtained from an authority that issues them by
// itself (RFC 8555), as Let's Encrypt. Each domain has a certificate of its own.
type ACME struct {
	// Domains are DNS names that lead here. Listeners that name the same domain
	// share its certificate, and say the same of it.
	Domains []string `yaml:"domains" required:"true"`
	// AgreeTermsOfService says that the authority's terms of service are agreed to,
	// which it asks. Nothing is asked of it without.
	AgreeTermsOfService bool `yaml:"agreeTermsOfService" required:"true" hint:"read the authority's terms of service, and say true"`
	// Email is where the authority may write to. Empty tells it none.
	Email string `yaml:"email"`
	// Directory is where the authority begins: an https URL. Empty means Let's
	// Encrypt's.
	Directory string `yaml:"directory"`
	// CA is the path of a PEM bundle of who vouches for the authority's own address,
	// in the place of those whom the system trusts: for one within a company.
	CA string `yaml:"ca"`
	// Challenge is how a domain is proved. The empty string means tls-alpn-01.
	Challenge ACMEChallenge `yaml:"challenge"`
	// RenewBefore is how long before its end a certificate is renewed, and 0 is a
	// third of its life. It is never more than two thirds.
	RenewBefore Duration `yaml:"renewBefore"`
	// ExternalAccountBinding is an account that there is at the authority already.
	// Nil has none.
	ExternalAccountBinding *ExternalAccountBinding `yaml:"externalAccountBinding"`
}

// ACMEChallenge is a way in which an authority sees that a domain leads here.
type ACMEChallenge string

// The ways: in a TLS handshake at port 443 of the domain (RFC 8737), which the
// listener itself answers, or by HTTP at its port 80, which a listener without TLS
// answers.
const (
	ChallengeTLS  ACMEChallenge = "tls-alpn-01"
	ChallengeHTTP ACMEChallenge = "http-01"
)

// ExternalAccountBinding is what an authority has given out for an account (RFC 8555,
// section 7.3.4).
type ExternalAccountBinding struct {
	// KeyID names the account.
	KeyID string `yaml:"keyID" required:"true"`
	// KeyEnv is the environment variable that has its key, in base64url.
	KeyEnv string `yaml:"keyEnv" required:"true"`
}
