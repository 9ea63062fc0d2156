// Package config is the language in which a gateway is described: its model,
// the strict loader that reads it, the validation that reports every fault at
// once with its place, and the file it is watched in.
//
// The package knows no Envoy, no Redis and no gRPC. Every other package takes
// the types of this one as valid: after Load has returned without faults,
// nobody checks again.
//
// Struct tags drive the decoder (decode.go) and the JSON Schema (schema.go):
//
//	yaml:"name"      the field's name in the language
//	required:"true"  a missing field is a fault, and so is an empty list
//	hint:"what"      what to say to whom leaves a required field out
//	later:"what"     known, but what it asks for is not built yet: its
//	                 presence is a fault ("not yet supported"), never ignored
//	secret:"true"    its value is shown in no fault
//	text:"true"      it may hold line breaks and tabs; other strings may not
//	null:"true"      a null is as if the field were not there
package config

import "time"

// Config is one whole gateway: what it listens on, whom it asks for identity,
// what it forwards to, and the routes between them. The zero value is not
// valid; Load is the way to a valid one.
type Config struct {
	// Listeners are the addresses clients connect to. At least one.
	Listeners []*Listener `yaml:"listeners" required:"true"`
	// TrustedHops is how many proxies in front of the gateway append to
	// X-Forwarded-For and are believed: the client is whom the farthest of them
	// has appended. 0 believes only the connection. With more, nobody but those
	// proxies may be able to connect.
	TrustedHops int `yaml:"trustedHops"`
	// Backends are the services behind the gateway, by name.
	Backends map[string]*Backend `yaml:"backends"`
	// Auth holds the identity providers that routes may require.
	Auth Providers `yaml:"auth"`
	// Limits are the rate limits that routes may apply, by name.
	Limits map[string]*Limit `yaml:"limits"`
	// RateLimitHeaders are the headers by which answers tell of limits. The empty
	// string means ietf.
	RateLimitHeaders RateLimitHeaders `yaml:"rateLimitHeaders"`
	// Strangers are the requests that no route takes. Nil asks nothing of them.
	Strangers *Strangers `yaml:"strangers"`
	// Routes say which request goes where, and what it must show first. The
	// most specific match wins, wherever it stands in the list.
	Routes []*Route `yaml:"routes" required:"true"`
}

// RateLimitHeaders is a family of headers that tell of limits. Retry-After is told
// beside each.
type RateLimitHeaders string

// The families: RateLimit-Limit, -Remaining and -Reset
// (draft-ietf-httpapi-ratelimit-headers-06), X-RateLimit-… with the same
// numbers, both, or nothing but Retry-After.
const (
	HeadersIETF RateLimitHeaders = "ietf"
	HeadersX    RateLimitHeaders = "x"
	HeadersBoth RateLimitHeaders = "both"
	HeadersNone RateLimitHeaders = "none"
)

// Strangers is what is asked of requests that no route takes, and of those that
// none may: for hosts and paths that nobody has named, by TRACE, and the like.
// They are answered without a backend.
type Strangers struct {
	// Limits are the names of the limits that are charged before such a request
	// gets its answer; one that is used up makes the answer a 429. They count by
	// what a stranger has: clientIP, headers and route, which is
	// gatewright.not-found or gatewright.refused.
	Limits []string `yaml:"limits" required:"true"`
}

// Listener is one address that Envoy accepts connections on.
type Listener struct {
	// Name is unique among listeners; logs and metrics use it.
	Name string `yaml:"name" required:"true"`
	// Address is an IP address and a port, as 0.0.0.0:8080 or [::]:8080.
	Address string `yaml:"address" required:"true"`
	// TLS terminates TLS on this listener. Nil is plain text.
	TLS *ListenerTLS `yaml:"tls"`
	// HTTP3 offers HTTP/3 beside HTTP/1.1 and HTTP/2.
	HTTP3 bool `yaml:"http3" later:"HTTP/3"`
	// RateLimit says who asks for limits on this listener. The default,
	// "service", is Gatewright's own Check: one call a request for identity
	// and limits. "filter" is Envoy's ratelimit filter: a second call, to the
	// standard RateLimitService.
	RateLimit RateLimitPlacement `yaml:"rateLimit"`
	// TrustedHops is how many proxies are in front of this listener. Nil means
	// Config.TrustedHops.
	TrustedHops *int `yaml:"trustedHops"`
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
	Certificates []*Certificate `yaml:"certificates" required:"true"`
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

// Backend is a service that routes forward to.
type Backend struct {
	// Name is the key under which the backend stands in the file.
	Name string `yaml:"-"`
	// Endpoints are host:port. A host name is resolved by Envoy, and followed;
	// a backend has either addresses or host names, not both.
	Endpoints []string `yaml:"endpoints" required:"true"`
	// Protocol is what the backend speaks. The empty string means http1.
	Protocol Protocol `yaml:"protocol"`
	// LoadBalancing picks the endpoint. The empty string means round_robin.
	LoadBalancing LoadBalancing `yaml:"loadBalancing"`
	// HealthCheck probes each endpoint. Nil probes none.
	HealthCheck *HealthCheck `yaml:"healthCheck"`
	// Connections bound what one Envoy opens to the backend. Nil and zero
	// fields are the defaults that breakerpolicy documents.
	Connections *Connections `yaml:"connections"`
	// OutlierDetection ejects endpoints that fail. Nil ejects none.
	OutlierDetection *OutlierDetection `yaml:"outlierDetection"`
	// PanicThreshold is the share of its endpoints, in percent, below which so few
	// are healthy and not ejected that all are used again, whatever their health: few
	// would break down under what all are for. Left out, it is 50. 0 never does: where
	// none is left, requests get 503.
	PanicThreshold *int `yaml:"panicThreshold"`
	// AdaptiveConcurrency finds out how many requests at once the backend serves
	// without becoming slower, and denies what is more. Nil does not.
	AdaptiveConcurrency *AdaptiveConcurrency `yaml:"adaptiveConcurrency"`
	// Breaker stops calls to a backend that fails as a whole. Nil never does.
	Breaker *Breaker `yaml:"breaker"`
	// TLS is used towards the backend. Nil is plain text.
	TLS *BackendTLS `yaml:"tls" later:"TLS to backends"`
}

// Protocol is what a backend speaks.
type Protocol string

// The protocols of a backend. The empty string means http1.
const (
	ProtocolHTTP1 Protocol = "http1"
	ProtocolHTTP2 Protocol = "http2"
	ProtocolGRPC  Protocol = "grpc"
)

// SpeaksHTTP2 tells a backend that is spoken to in HTTP/2, as gRPC needs.
func (b *Backend) SpeaksHTTP2() bool {
	return b.Protocol == ProtocolHTTP2 || b.Protocol == ProtocolGRPC
}

// LoadBalancing names an algorithm that picks an endpoint.
type LoadBalancing string

// The algorithms of Envoy. The empty string means round_robin.
const (
	RoundRobin   LoadBalancing = "round_robin"
	LeastRequest LoadBalancing = "least_request"
	Random       LoadBalancing = "random"
	RingHash     LoadBalancing = "ring_hash"
	Maglev       LoadBalancing = "maglev"
)

// HealthCheck is an active HTTP probe of each endpoint.
type HealthCheck struct {
	// Path is requested by GET; a 200 is healthy.
	Path string `yaml:"path" required:"true"`
	// Interval is the time between probes. 0 means 5s.
	Interval Duration `yaml:"interval"`
	// Timeout is how long a probe may take. 0 means 1s.
	Timeout Duration `yaml:"timeout"`
	// UnhealthyAfter is how many probes fail before an endpoint is taken out.
	// 0 means 3.
	UnhealthyAfter int `yaml:"unhealthyAfter"`
	// HealthyAfter is how many probes pass before it is put back. 0 means 2.
	HealthyAfter int `yaml:"healthyAfter"`
}

// Connections are the bounds that one Envoy keeps towards a backend
// (Envoy's circuit_breakers thresholds).
type Connections struct {
	// Max is the number of connections. 0 means the default.
	Max int `yaml:"max"`
	// MaxPending is the number of requests that wait for a connection.
	MaxPending int `yaml:"maxPending"`
	// MaxRequests is the number of requests in flight.
	MaxRequests int `yaml:"maxRequests"`
	// MaxRetries is the number of retries in flight. At most one of it and
	// RetryBudget is given.
	MaxRetries int `yaml:"maxRetries"`
	// RetryBudget bounds the retries in flight by the requests in flight.
	RetryBudget *RetryBudget `yaml:"retryBudget"`
}

// RetryBudget lets retries be a share of all that goes to a backend, so that a
// backend that fails is not asked several times as much. It is the backend's, and
// all routes to it share it: Envoy keeps none for a route. A backend that some route
// asks again has the default one, unless it has MaxRetries.
type RetryBudget struct {
	// Percent is how many of the requests that have begun within Interval, or are
	// still in flight, may be retries at once, 0 to 100. Left out, it is 20.
	Percent *float64 `yaml:"percent"`
	// MinConcurrent is how many retries there may always be at once, their waits
	// included. 0 means 1.
	MinConcurrent int `yaml:"minConcurrent"`
	// Interval is for how long a request counts at least. 0 means 100ms: as long as
	// the first retry waits on average, so that of the requests of a second, too,
	// no more than Percent are retries.
	Interval Duration `yaml:"interval"`
}

// AdaptiveConcurrency bounds the requests at once by how long they take: when
// they take longer than those of a backend without load, there are too many.
// Each Envoy measures by itself, for each listener.
type AdaptiveConcurrency struct {
	// Max and Min are what the bound is never above and below. 0 means 1000 and 3.
	// Min is also how many requests there may be while the time without load is
	// measured.
	Max int `yaml:"max"`
	Min int `yaml:"min"`
	// Percentile is the one of the times within Interval that counts, above 0 and up
	// to 100. 0 means 90.
	Percentile float64 `yaml:"percentile"`
	// Interval is how often the bound moves. 0 means 100ms.
	Interval Duration `yaml:"interval"`
	// MeasureEvery is how often the time without load is measured anew. 0 means 60s.
	MeasureEvery Duration `yaml:"measureEvery"`
	// MeasureRequests is of how many requests it is taken. 0 means 50.
	MeasureRequests int `yaml:"measureRequests"`
	// Tolerance is how much longer than without load requests may take, in percent,
	// before the bound is lowered. Left out, it is 25.
	Tolerance *float64 `yaml:"tolerance"`
}

// OutlierDetection ejects an endpoint after failures seen on live traffic: it gets
// no requests until its time is over. What cannot be reached counts as a 5xx.
type OutlierDetection struct {
	// Consecutive5xx is the run of 5xx that ejects. 0 means 5.
	Consecutive5xx int `yaml:"consecutive5xx"`
	// ConsecutiveGatewayErrors is the run of 502, 503 and 504 that ejects. 0 is
	// none: they are among the 5xx.
	ConsecutiveGatewayErrors int `yaml:"consecutiveGatewayErrors"`
	// ConsecutiveLocalErrors is the run of failures to connect, resets and timeouts
	// that ejects. 0 is none of its own: they are among the 5xx. Otherwise they no
	// longer are, and answers with a 5xx are counted by themselves.
	ConsecutiveLocalErrors int `yaml:"consecutiveLocalErrors"`
	// FailurePercentage ejects the endpoints of which more than a share of the
	// requests fail. Nil ejects none for that.
	FailurePercentage *FailurePercentage `yaml:"failurePercentage"`
	// SuccessRate ejects the endpoints that do worse than the others. Nil ejects
	// none for that.
	SuccessRate *SuccessRate `yaml:"successRate"`
	// Interval is the time between sweeps. 0 means 10s.
	Interval Duration `yaml:"interval"`
	// BaseEjectionTime is multiplied by the number of ejections. 0 means 30s.
	BaseEjectionTime Duration `yaml:"baseEjectionTime"`
	// MaxEjectionTime is the longest. 0 means 5m, or BaseEjectionTime if that is
	// longer.
	MaxEjectionTime Duration `yaml:"maxEjectionTime"`
	// Jitter is how much longer an ejection may last, at random, so that the Envoys of
	// a fleet do not come back as one. 0 is no longer.
	Jitter Duration `yaml:"jitter"`
	// MaxEjectionPercent is how much of the backend may be ejected. 0 means
	// 10, Envoy's default; at least one endpoint can always be ejected.
	MaxEjectionPercent int `yaml:"maxEjectionPercent"`
}

// FailurePercentage looks at the share of an endpoint's requests that fail, in each
// sweep.
type FailurePercentage struct {
	// Threshold is the share that ejects, in percent. 0 means 85.
	Threshold int `yaml:"threshold"`
	// MinEndpoints is how many endpoints must have MinRequests in an interval for any
	// to be ejected. 0 means 5 and 50.
	MinEndpoints int `yaml:"minEndpoints"`
	MinRequests  int `yaml:"minRequests"`
}

// SuccessRate compares the endpoints with each other, in each sweep.
type SuccessRate struct {
	// Deviations is how many standard deviations below the mean of all an endpoint
	// is ejected. 0 means 1.9.
	Deviations float64 `yaml:"deviations"`
	// MinEndpoints is how many endpoints must have MinRequests in an interval for any
	// to be ejected. 0 means 5 and 100.
	MinEndpoints int `yaml:"minEndpoints"`
	MinRequests  int `yaml:"minRequests"`
}

// Breaker is the three-state circuit breaker of a backend. Closed, it lets
// requests pass and looks at how they end. Open, it answers them itself, so that
// a backend that fails is left alone. Half-open, it lets single requests out,
// the probes, whose success closes it. All instances on one Redis share its
// state.
type Breaker struct {
	// ErrorRate is the share of the requests, from 0 to below 1, of which more
	// must have failed for the breaker to open. Nil means 0.5: of exactly half it
	// stays closed.
	ErrorRate *float64 `yaml:"errorRate"`
	// Window is the time up to now whose requests are counted. 0 means 10s.
	Window Duration `yaml:"window"`
	// MinRequests is how many requests must have ended in the window for the
	// breaker to open. 0 means 20.
	MinRequests int `yaml:"minRequests"`
	// OpenFor is how long it stays open before the first probe. 0 means 30s.
	OpenFor Duration `yaml:"openFor"`
	// Backoff lets OpenFor grow while probes fail. Nil never does.
	Backoff *BreakerBackoff `yaml:"backoff"`
	// Per is what has a breaker of its own. The empty string means backend.
	Per BreakerScope `yaml:"per"`
	// Probes is how many probes in a row must succeed for the breaker to close.
	// One is out at a time. 0 means 1.
	Probes int `yaml:"probes"`
	// ProbeLease is how long the end of a probe is waited for before the next
	// request is made one in its place. It should be longer than a request may
	// take. 0 means 20s.
	ProbeLease Duration `yaml:"probeLease"`
	// Ramp is the time after it has closed in which it lets a growing share of the
	// requests pass. 0 lets all of them pass at once.
	Ramp Duration `yaml:"ramp"`
	// Failures says which ends of requests are failures. Nil and zero fields are
	// the defaults.
	Failures BreakerFailures `yaml:"failures"`
	// Fallback is what requests get while it is open. Nil is a 503 with
	// Retry-After.
	Fallback *BreakerFallback `yaml:"fallback"`
	// Mode is whether the breaker is enforced. The empty string means enforce; one
	// in shadow opens and closes, counts and logs what it would do, and lets every
	// request pass.
	Mode RequirementMode `yaml:"mode"`
	// Webhook is told of each change of its state. Nil tells nobody.
	Webhook *Webhook `yaml:"webhook"`
}

// InShadow tells that the breaker lets every request pass.
func (b *Breaker) InShadow() bool { return b.Mode == ModeShadow }

// BreakerScope is what has a breaker of its own.
type BreakerScope string

// The scopes: one breaker for all requests to a backend, or one for those of each
// route to it. The empty string means backend.
const (
	PerBackend BreakerScope = "backend"
	PerRoute   BreakerScope = "route"
)

// BreakerBackoff lets a breaker stay open for longer each time that a probe fails,
// and for a random time, so that breakers that have opened together do not probe
// together.
type BreakerBackoff struct {
	// Factor multiplies OpenFor for each failed probe since the breaker was last
	// closed: from 1 to 10. Nil means 2.
	Factor *float64 `yaml:"factor"`
	// Max bounds the time. 0 means ten times OpenFor.
	Max Duration `yaml:"max"`
	// Jitter is how much of the time, from 0 to 1, is random: it is added, up to
	// so much of it. 0 is none.
	Jitter float64 `yaml:"jitter"`
}

// BreakerFailures says which ends of requests count as failures of the backend. A
// client that gives up, and an answer of the gateway's own, never do: they count
// for nothing.
type BreakerFailures struct {
	// Status are answers of the backend: a status, or 4xx or 5xx. Nil means 5xx;
	// an empty list is none.
	Status []StatusRange `yaml:"status"`
	// GRPCStatus are the statuses of gRPC calls, which HTTP answers with 200. Nil
	// means unknown, deadline-exceeded, internal, unavailable and data-loss; an
	// empty list is none.
	GRPCStatus []GRPCStatus `yaml:"grpcStatus"`
	// ConnectFailure: no connection, or no endpoint that is healthy. Nil means
	// true.
	ConnectFailure *bool `yaml:"connectFailure"`
	// Reset: the backend has broken the connection or the stream off. Nil means
	// true.
	Reset *bool `yaml:"reset"`
	// Timeout: the route's timeout has ended the request. Nil means true.
	Timeout *bool `yaml:"timeout"`
	// SlowerThan makes an answer a failure that took longer to begin. 0 is none.
	SlowerThan Duration `yaml:"slowerThan"`
}

// StatusRange are the statuses From to To, both included. In the file it is a
// status or a class, as 503 or 5xx.
type StatusRange struct{ From, To int }

// GRPCStatus is a status of a gRPC call, as a word
// (https://github.com/grpc/grpc/blob/master/doc/statuscodes.md).
type GRPCStatus string

// BreakerFallback is what requests get in place of a backend whose breaker is
// open. Exactly one of its fields is given.
type BreakerFallback struct {
	// Backend takes the requests. It has a breaker of its own, or none.
	Backend string `yaml:"backend"`
	// Respond is a fixed answer. A call of gRPC gets UNAVAILABLE all the same: it
	// could read nothing else.
	Respond *Respond `yaml:"respond"`
}

// Webhook is an address of somebody's that is told of events: by POST, with JSON
// in the body. What cannot be delivered is tried again for a short time, and then
// only logged.
type Webhook struct {
	// URL is where to.
	URL string `yaml:"url" required:"true"`
	// AuthorizationEnv names the environment variable that holds the whole value
	// of the Authorization header, as Bearer s3cret. Empty sends none.
	AuthorizationEnv string `yaml:"authorizationEnv"`
	// PlainHTTP allows http:// to other machines. To this machine it is always
	// allowed.
	PlainHTTP bool `yaml:"plainHTTP"`
}

// BackendTLS is TLS from Envoy to a backend.
type BackendTLS struct {
	// CA is the path of the PEM bundle that verifies the backend.
	CA string `yaml:"ca"`
	// ServerName is sent as SNI and must be in the certificate.
	ServerName string `yaml:"serverName"`
}

// Providers are the sources of identity, by kind and name.
type Providers struct {
	JWT           map[string]*JWT           `yaml:"jwt"`
	APIKey        map[string]*APIKey        `yaml:"apiKey"`
	Introspection map[string]*Introspection `yaml:"introspection"`
	// ClientCertificate takes what a listener's clientCA has verified.
	ClientCertificate map[string]*ClientCertificate `yaml:"clientCertificate"`
}

// JWT trusts the signed tokens of one issuer (RFC 7519).
type JWT struct {
	// Name is the key under which the provider stands in the file.
	Name string `yaml:"-"`
	// Issuer must equal the token's iss claim, byte for byte.
	Issuer string `yaml:"issuer" required:"true"`
	// Audiences: the token's aud must name at least one of them.
	Audiences []string `yaml:"audiences" required:"true"`
	// Algorithms are the only signature algorithms accepted (RFC 7518 names).
	// Empty means RS256 and ES256. With SecretEnv they are named: of HS256, HS384
	// and HS512.
	Algorithms []string `yaml:"algorithms"`
	// JWKS is where the issuer's public keys are. Either it or SecretEnv is given.
	JWKS JWKS `yaml:"jwks"`
	// SecretEnv names the environment variable that holds the secret which the
	// issuer and the gateway share, for tokens with a MAC in place of a signature
	// (RFC 7518, section 3.2). It is taken byte for byte, or decoded where it begins
	// with base64:, and must be as long as the longest hash of Algorithms. Whoever has
	// it can make tokens: prefer public keys.
	SecretEnv string `yaml:"secretEnv"`
	// PreviousSecretEnv names the variable of the secret that was in use before, or
	// will be next: tokens by either are taken. Only with SecretEnv.
	PreviousSecretEnv string `yaml:"previousSecretEnv"`
	// TokenType is what the token's header must say as its typ, as at+jwt (RFC
	// 9068): in any case, with or without application/. Empty takes JWT, at+jwt
	// and no typ at all.
	TokenType string `yaml:"tokenType"`
	// RolesClaim is the claim that the caller's roles are in: a text, which is
	// one role, or a list of them. Empty means roles.
	RolesClaim string `yaml:"rolesClaim"`
	// PlanClaim is the claim that names the caller's plan: a text. It goes before
	// the plan of the tenant's record. Empty takes none from tokens.
	PlanClaim string `yaml:"planClaim"`
	// CertificateBound asks for tokens that are bound to the client's certificate
	// (RFC 8705, section 3): cnf must have an x5t#S256 that is the hash of the one
	// which the connection was made with. Who has stolen a token alone has nothing.
	// It needs a listener with tls.clientCA.
	CertificateBound bool `yaml:"certificateBound"`
	// ClockSkew is allowed once on exp and once on nbf and iat. 0 means 30s.
	ClockSkew Duration `yaml:"clockSkew"`
	// Forward sends claims to the backend as headers: claim name to header
	// name. These headers are removed from every request of a client.
	Forward map[string]string `yaml:"forward"`
	// ForwardCredential leaves the token in the Authorization header that the
	// backend sees. By default it is taken out.
	ForwardCredential bool `yaml:"forwardCredential"`
}

// JWKS is the place of a JSON Web Key Set (RFC 7517): exactly one of URL,
// Discover, File and Inline is given. The set that was loaded last stays in use
// while its place cannot be read.
type JWKS struct {
	// URL is fetched in the background and kept fresh.
	URL string `yaml:"url"`
	// Discover asks the issuer where its keys are: its discovery document is at
	// the provider's issuer and /.well-known/openid-configuration (OpenID Connect
	// Discovery 1.0), and must name that very issuer. Its jwks_uri must be at the
	// issuer's own host, or at KeyHost, and https.
	Discover bool `yaml:"discover"`
	// KeyHost is the host that the issuer may name in its jwks_uri beside its
	// own, with a port where it is not the usual one. Only with Discover.
	KeyHost string `yaml:"keyHost"`
	// PlainHTTP allows http:// to other machines: whoever is on the way can put
	// keys of their own into the answer. To this machine, by a loopback address
	// or localhost, http:// is always allowed.
	PlainHTTP bool `yaml:"plainHTTP"`
	// MaxStale is how long keys are used after the issuer has last confirmed
	// them, by an answer to a fetch, when it has been out of reach since then.
	// After that its tokens get a 503. 0 means 72h: an outage of a weekend. Only
	// with URL or Discover.
	MaxStale Duration `yaml:"maxStale"`
	// File is a path; in the file it is relative to the file's own folder, and
	// after Load to the process. It is read again when it changes.
	File string `yaml:"file"`
	// Inline is the set itself.
	Inline string `yaml:"inline" secret:"true" text:"true"`
}

// IsRemote reports whether the set is fetched over the network.
func (k *JWKS) IsRemote() bool { return k.URL != "" || k.Discover }

// APIKey accepts the keys of Gatewright's own key store.
type APIKey struct {
	// Name is the key under which the provider stands in the file.
	Name string `yaml:"-"`
	// From is where a request carries the key. Empty means header X-API-Key.
	// It is taken out before the backend sees the request.
	From KeySource `yaml:"from"`
	// Forward sends properties of the key to the backend as headers: id,
	// tenant or owner, to header name.
	Forward map[string]string `yaml:"forward"`
	// ForwardCredential leaves the backend a key that has been found good, as for JWT.
	ForwardCredential bool `yaml:"forwardCredential"`
}

// KeySource is a header or a query parameter: exactly one, or none for the default.
type KeySource struct {
	Header string `yaml:"header"`
	Query  string `yaml:"query"`
}

// Introspection asks the issuer about each token that it does not remember
// (RFC 7662). It suits tokens that only their issuer can read.
type Introspection struct {
	// Name is the key under which the provider stands in the file.
	Name string `yaml:"-"`
	// URL is the issuer's introspection endpoint.
	URL string `yaml:"url" required:"true"`
	// ClientID is whom the gateway is to the issuer.
	ClientID string `yaml:"clientID" required:"true"`
	// ClientSecretEnv names the environment variable that holds the client's
	// secret. It is sent by HTTP Basic (RFC 6749, section 2.3.1).
	ClientSecretEnv string `yaml:"clientSecretEnv" required:"true"`
	// CA is the path of a PEM bundle that verifies the issuer, in place of the
	// system's. It is relative as JWKS.File is, and read at each change of the
	// config.
	CA string `yaml:"ca"`
	// PlainHTTP allows http:// to other machines, as for JWKS: tokens and the
	// client's secret are then to be read on the way.
	PlainHTTP bool `yaml:"plainHTTP"`
	// Timeout bounds one question. 0 means 800ms; Envoy waits 1s for a verdict.
	Timeout Duration `yaml:"timeout"`
	// Cache is what is remembered of answers.
	Cache IntrospectionCache `yaml:"cache"`
	// Issuer must equal the answer's iss. Empty asks for none.
	Issuer string `yaml:"issuer"`
	// Audiences: the answer's aud must name at least one of them. Empty asks for
	// none: then any token of the issuer's will do.
	Audiences []string `yaml:"audiences"`
	// ClockSkew is allowed on the answer's exp, nbf and iat. 0 means 30s. Nothing
	// is remembered beyond exp itself.
	ClockSkew Duration `yaml:"clockSkew"`
	// PlanClaim is the member of the answer that names the caller's plan, as for
	// JWT.
	PlanClaim string `yaml:"planClaim"`
	// Forward sends members of the answer to the backend as headers, and
	// ForwardCredential leaves it the token, as for JWT.
	Forward           map[string]string `yaml:"forward"`
	ForwardCredential bool              `yaml:"forwardCredential"`
}

// IntrospectionCache bounds what is remembered of an issuer's answers.
type IntrospectionCache struct {
	// MaxAge is how long an active token is taken for active without asking
	// again, and never beyond its exp: so long may a revocation at the issuer
	// go unseen. 0 means 30s. That a token is not active is remembered for 5s,
	// or for MaxAge where that is less.
	MaxAge Duration `yaml:"maxAge"`
	// Entries is how many tokens are remembered. 0 means 10000.
	Entries int `yaml:"entries"`
	// Off remembers nothing: the issuer is asked about every request.
	Off bool `yaml:"off"`
}

// ClientCertificate says whom a client certificate stands for that Envoy has
// verified, by the clientCA of the listener that the request came to. Of each list
// that is given, the certificate must have one; without any, each certificate
// that the listener takes will do.
type ClientCertificate struct {
	// Name is the key under which the provider stands in the file.
	Name string `yaml:"-"`
	// URIs are names of the kind URI (RFC 5280, section 4.2.1.6). Those that begin
	// with spiffe:// are SPIFFE IDs: * stands for one segment of the path, and /**
	// at the end for any path below. They are of certificates alone that are
	// X.509-SVIDs, with one URI, which is a SPIFFE ID.
	URIs []string `yaml:"uris"`
	// DNSNames are names of the kind DNS; *.example.com is any one name below.
	DNSNames []string `yaml:"dnsNames"`
	// Emails are names of the kind e-mail; *@example.com is anybody's there.
	Emails []string `yaml:"emails"`
	// CommonNames and Organizations are parts of the subject (CN, O).
	CommonNames   []string `yaml:"commonNames"`
	Organizations []string `yaml:"organizations"`
	// User is the part that says who the caller is: uri, dnsName, email or
	// commonName. Where a list of that part is given, it is the first name that the
	// list has; else there must be exactly one. Empty means the kind of the first
	// list that is given, in this order.
	User CertificatePart `yaml:"user"`
	// Tenant is the part that says which tenant the caller is of: trustDomain (of
	// its SPIFFE ID), organization or organizationalUnit. Empty takes none.
	Tenant CertificatePart `yaml:"tenant"`
	// Tenants say the tenant by user. Who is not named has none. At most one of
	// Tenant and Tenants is given.
	Tenants map[string]string `yaml:"tenants"`
	// Forward sends parts of the certificate to the backend as headers: a part, or
	// user, tenant, serial or fingerprint, to header name. These headers are
	// removed from every request of a client.
	Forward map[string]string `yaml:"forward"`
}

// CertificatePart is a part of a certificate that names somebody.
type CertificatePart string

// The parts of a certificate.
const (
	PartURI                CertificatePart = "uri"
	PartDNSName            CertificatePart = "dnsName"
	PartEmail              CertificatePart = "email"
	PartCommonName         CertificatePart = "commonName"
	PartTrustDomain        CertificatePart = "trustDomain"
	PartOrganization       CertificatePart = "organization"
	PartOrganizationalUnit CertificatePart = "organizationalUnit"
)

// UserPart is the part that says who the caller is; empty where nothing says it.
func (p *ClientCertificate) UserPart() CertificatePart {
	switch {
	case p.User != "":
		return p.User
	case len(p.URIs) > 0:
		return PartURI
	case len(p.DNSNames) > 0:
		return PartDNSName
	case len(p.Emails) > 0:
		return PartEmail
	case len(p.CommonNames) > 0:
		return PartCommonName
	}
	return ""
}

// Limit is a rate limit: how much, for each value of its key.
type Limit struct {
	// Name is the key under which the limit stands in the file. State is kept
	// under it, so a changed limit neither forgives nor punishes anybody.
	Name string `yaml:"-"`
	// Key is what the limit counts by; several parts count by their combination.
	Key []KeyPart `yaml:"key" required:"true"`
	// Exactly one algorithm is given: TokenBucket, SlidingWindow, SlidingLog,
	// FixedWindow, Quota or Concurrency.
	TokenBucket *TokenBucket `yaml:"tokenBucket"`
	// SlidingWindow counts by sixtieths of the window, by the second in a minute, and
	// never admits more than its limit in any window.
	SlidingWindow *SlidingWindow `yaml:"slidingWindow"`
	// SlidingLog keeps the time of each request: exact, and dear in memory.
	SlidingLog *SlidingWindow `yaml:"slidingLog"`
	// FixedWindow counts in windows that begin at multiples of their length, in
	// UTC. Around a border it admits up to twice the limit in one window's time.
	FixedWindow *SlidingWindow `yaml:"fixedWindow"`
	// Quota counts by the calendar.
	Quota *Quota `yaml:"quota"`
	// Concurrency counts requests in flight.
	Concurrency *Concurrency `yaml:"concurrency"`
	// Cost is what a request takes. Nil is 1.
	Cost *Cost `yaml:"cost"`
	// IPv6Prefix is how many leading bits of an IPv6 address are one client, for
	// the key part clientIP. From 1 to 128; 0 means 64 (RFC 6177: the least that
	// one subscriber is given).
	IPv6Prefix int `yaml:"ipv6Prefix"`
	// Mode says whether the limit denies. The empty string means enforce; one in
	// shadow is charged, counted and logged, and denies nobody.
	Mode RequirementMode `yaml:"mode"`
	// Plans are what the limit is for callers of a plan, by the plan's name.
	// Callers of no plan, or of one that is not here, have the limit's own
	// algorithm. Only for a limit whose key tells callers or customers apart.
	Plans map[string]*LimitPlan `yaml:"plans"`
	// Consistency is how instances share the limit. The empty string means exact,
	// as a SlidingLog and Concurrency must be.
	Consistency Consistency `yaml:"consistency"`
	// OnStoreFailure is what happens while Redis cannot answer. The empty
	// string means local.
	OnStoreFailure OnStoreFailure `yaml:"onStoreFailure"`
}

// InShadow tells that the limit is charged and counted, and denies nobody.
func (l *Limit) InShadow() bool { return l.Mode == ModeShadow }

// LimitPlan is what a limit is for callers of one plan: the fields of the
// limit's own algorithm, with other numbers.
type LimitPlan struct {
	// The algorithm must be the limit's own, with the same windows.
	TokenBucket   *TokenBucket   `yaml:"tokenBucket"`
	SlidingWindow *SlidingWindow `yaml:"slidingWindow"`
	SlidingLog    *SlidingWindow `yaml:"slidingLog"`
	FixedWindow   *SlidingWindow `yaml:"fixedWindow"`
	Quota         *Quota         `yaml:"quota"`
	Concurrency   *Concurrency   `yaml:"concurrency"`
}

// KeyPart is one part of a limit's key: one of the constants below, or
// header:NAME, claim:NAME or rule:EXPRESSION.
type KeyPart string

// The fixed parts of a key. A value that a request does not have counts as empty.
const (
	KeyUser     KeyPart = "user"
	KeyTenant   KeyPart = "tenant"
	KeyAPIKey   KeyPart = "apiKey"
	KeyClientIP KeyPart = "clientIP"
	KeyRoute    KeyPart = "route"
	// KeyMethod is the method, where it is one that routes can name. All others
	// count together, as the empty value: nobody gets new buckets by making up
	// methods.
	KeyMethod KeyPart = "method"

	// KeyHeaderPrefix and KeyClaimPrefix begin the parts that carry a name, and
	// KeyRulePrefix those that are a CEL expression of the request and its caller. One
	// that fails counts as the empty value.
	KeyHeaderPrefix = "header:"
	KeyClaimPrefix  = "claim:"
	KeyRulePrefix   = "rule:"
)

// TokenBucket admits Capacity at once, and Refill over time: in any time T at
// most Capacity + Refill × T.
type TokenBucket struct {
	// Capacity is the size of the bucket, in requests. More than 0.
	Capacity int64 `yaml:"capacity" required:"true"`
	// Refill is the rate at which it fills, as 10/s or 600/m.
	Refill Rate `yaml:"refill" required:"true"`
}

// SlidingWindow admits Limit in a Window.
type SlidingWindow struct {
	// Limit is how many requests. More than 0.
	Limit int64 `yaml:"limit" required:"true"`
	// Window is the time that they are counted in.
	Window Duration `yaml:"window" required:"true"`
}

// Quota admits Limit in each Per of the calendar.
type Quota struct {
	// Limit is how many requests. More than 0.
	Limit int64 `yaml:"limit" required:"true"`
	// Per is the calendar unit.
	Per CalendarUnit `yaml:"per" required:"true"`
	// TimeZone is where the calendar is, as Europe/Vienna (IANA's names). The
	// empty string means UTC.
	TimeZone string `yaml:"timeZone"`
}

// CalendarUnit is a unit of a calendar: the time between two of its borders is
// not always the same.
type CalendarUnit string

// The calendar units. A week begins on Monday (ISO 8601).
const (
	PerHour  CalendarUnit = "hour"
	PerDay   CalendarUnit = "day"
	PerWeek  CalendarUnit = "week"
	PerMonth CalendarUnit = "month"
)

// Concurrency admits Max requests at once. A request counts until Envoy tells of
// its end.
type Concurrency struct {
	// Max is how many. More than 0.
	Max int64 `yaml:"max" required:"true"`
	// Lease is how long a request counts whose end nobody tells of. 0 means 1m.
	// One that takes longer is forgotten, and no longer counts.
	Lease Duration `yaml:"lease"`
}

// Cost is what a request takes of a limit: a number, or what a header or a rule
// says of the request.
type Cost struct {
	// Exactly one of Number, Header and Rule is given; a number alone may stand
	// for the whole, as cost: 5.
	Number int64 `yaml:"number"`
	// Header is a request header whose value is the cost, as a whole number above
	// 0 in decimal digits. A request without it, or with anything else in it, costs
	// Default. Who sets the header says what a request costs: take one that clients
	// cannot set lower than what they ask for.
	Header string `yaml:"header"`
	// Rule is a CEL expression of the request and its caller whose value is a whole
	// number. 0 takes nothing. One that fails, or is below 0, costs Default.
	Rule string `yaml:"rule"`
	// Default is the cost where header or rule say none. 0 means 1.
	Default int64 `yaml:"default"`
	// Max cuts what header or rule say. 0 means 1000000.
	Max int64 `yaml:"max"`
}

// Consistency is how the instances of a fleet share one limit.
type Consistency string

// The consistencies. The empty string means exact: the store decides each request.
const (
	Exact Consistency = "exact"
	Lease Consistency = "lease"
	Sync  Consistency = "sync"
)

// OnStoreFailure is what a limit does while its store cannot answer.
type OnStoreFailure string

// What can be done without the store. The empty string means local: this
// instance counts alone.
const (
	FailLocal OnStoreFailure = "local"
	FailAllow OnStoreFailure = "allow"
	FailDeny  OnStoreFailure = "deny"
)

// Route is one rule: which requests, what they must show, where they go.
type Route struct {
	// Name is unique among routes; it is what logs, metrics and policies use.
	Name string `yaml:"name" required:"true"`
	// Match says which requests the route takes.
	Match Match `yaml:"match" required:"true"`
	// Priority overrides "most specific wins": the higher one first. 0 is normal.
	Priority int `yaml:"priority"`
	// Auth is what a request must show. It is always said: "public", or a
	// list of requirements.
	Auth *RouteAuth `yaml:"auth" required:"true" hint:"say \"auth: public\", or name requirements under auth.anyOf"`
	// Limits are the names of the limits charged; all of them pass or none is.
	Limits []string `yaml:"limits"`
	// To are the backends, with weights. Exactly one of To, Redirect and
	// Respond is given.
	To []*Destination `yaml:"to"`
	// Pin lets a request choose its side of a canary.
	Pin *Pin `yaml:"pin"`
	// Sticky keeps a caller on its side of a canary by the first of these that the
	// request has: user, tenant, apiKey, clientIP, header:NAME, cookie:NAME or
	// claim:NAME. Requests that have none go to a side at random, as all do where
	// it is empty.
	Sticky []StickyPart `yaml:"sticky"`
	// Rollout moves the weights by outcomes.
	Rollout *Rollout `yaml:"rollout"`
	// Timeout is for the whole request, retries included. 0 means 15s.
	// An upgraded connection has none: only IdleTimeout ends it.
	Timeout Duration `yaml:"timeout"`
	// IdleTimeout ends a request, a stream or an upgraded connection on which
	// nothing has moved for so long, in either direction. 0 means 5m.
	IdleTimeout Duration `yaml:"idleTimeout"`
	// Upgrades are the protocols that a client may switch its connection to
	// (RFC 9110, section 7.8), as websocket, in lower case. Empty is none: a
	// request that asks to switch is answered with 403.
	Upgrades []string `yaml:"upgrades"`
	// Retry repeats failed attempts. Nil never does.
	Retry *Retry `yaml:"retry"`
	// Hedge sends slow requests a second time. A backend then serves some of
	// them twice, so they must do no harm when they are. Nil never does.
	Hedge *Hedge `yaml:"hedge"`
	// GRPCTranscode turns REST into gRPC.
	GRPCTranscode *GRPCTranscode `yaml:"grpcTranscode" later:"REST to gRPC transcoding"`
	// Rewrite changes path and host before the backend.
	Rewrite *Rewrite `yaml:"rewrite"`
	// Request and Response change headers on the way.
	Request  *HeaderChanges `yaml:"request"`
	Response *HeaderChanges `yaml:"response"`
	// CORS lets pages of other origins call the route. Nil lets none: a preflight
	// is then a request like any other, and the backend's own answer stands.
	CORS *CORS `yaml:"cors"`
	// Mirror sends a copy of a share of the requests elsewhere.
	Mirror *Mirror `yaml:"mirror"`
	// Mirrors are several of them, each with a backend of its own. At most one
	// of Mirror and Mirrors is given.
	Mirrors []*Mirror `yaml:"mirrors"`
	// Compress compresses responses.
	Compress bool `yaml:"compress" later:"compression"`
	// Redirect answers with another place.
	Redirect *Redirect `yaml:"redirect"`
	// Respond answers without a backend.
	Respond *Respond `yaml:"respond"`
}

// AllMirrors are the route's mirrors, whichever way they are said.
func (r *Route) AllMirrors() []*Mirror {
	if r.Mirror != nil {
		return []*Mirror{r.Mirror}
	}
	return r.Mirrors
}

// Match is a conjunction: every given part must hold.
type Match struct {
	// Hosts are exact names or *.suffix; empty is every host. Ports are ignored.
	Hosts []string `yaml:"hosts"`
	// Methods are HTTP methods in capitals; empty is every method.
	Methods []string `yaml:"methods"`
	// Path is exact (/a/b), has one-segment variables (/users/{id}/orders), or
	// ends in /** (that prefix, at segment borders, itself included). Exactly
	// one of Path and GRPC is given in a file; after Load there always is a Path.
	Path string `yaml:"path"`
	// GRPC takes the calls of a gRPC service or method: POST, with a content
	// type of gRPC. After Load, Path, Methods and Headers say so, too.
	GRPC *GRPCMatch `yaml:"grpc"`
	// Headers must have these values. Of a header that is there twice, the
	// values are joined by commas.
	Headers map[string]ValueMatch `yaml:"headers"`
	// Query parameters must have these values. Of a parameter that is there
	// twice, the first counts.
	Query map[string]ValueMatch `yaml:"query"`
}

// ValueMatch is what a header or a query parameter must be. In the file it is a
// text, which the value must equal, or a mapping with exactly one field.
type ValueMatch struct {
	// Exact is the whole value. It is what counts where nothing else is set.
	Exact string `yaml:"exact" text:"true"`
	// Prefix is what the value begins with.
	Prefix string `yaml:"prefix"`
	// Regex is an RE2 expression that the whole value fits.
	Regex string `yaml:"regex"`
	// Present takes any value, also an empty one.
	Present bool `yaml:"present"`
	// Absent takes none: the header or parameter must not be there.
	Absent bool `yaml:"absent"`
}

// IsExact reports whether the value must equal Exact.
func (m ValueMatch) IsExact() bool {
	return m.Prefix == "" && m.Regex == "" && !m.Present && !m.Absent
}

// RouteAuth is what a route asks of a caller: nothing, one of several
// requirements, or all of several. In the file it is the word "public",
// {anyOf: [...]}, {allOf: [...]}, or both.
type RouteAuth struct {
	// Public asks nothing. Then all else is empty; otherwise AnyOf or AllOf is not.
	Public bool `yaml:"-"`
	// AnyOf is tried in order; the first that holds decides who the caller is.
	// Those in shadow decide nothing: where all that is asked for is in shadow,
	// every request passes.
	AnyOf []*Requirement `yaml:"anyOf"`
	// AllOf must all hold, beside one of AnyOf where one is enforced there, and
	// must not speak of two users or two tenants. Where none is, the caller is the
	// one of the first. Headers of the others are set where the caller's are not.
	// None of them can be in shadow.
	AllOf []*Requirement `yaml:"allOf"`
	// AllowAnonymous lets a request without any credential pass, as nobody's. A
	// credential that is there must be good.
	AllowAnonymous bool `yaml:"allowAnonymous"`
}

// Requirement names one provider, and what its credential must carry.
type Requirement struct {
	// JWT, APIKey, Introspection and ClientCertificate name a provider: exactly one
	// is given.
	JWT               string `yaml:"jwt"`
	APIKey            string `yaml:"apiKey"`
	Introspection     string `yaml:"introspection"`
	ClientCertificate string `yaml:"clientCertificate"`
	// Scopes must all be in the token's scope or scp claim. Not for APIKey.
	Scopes []string `yaml:"scopes"`
	// AnyScope: at least one of them must be there. JWT only.
	AnyScope []string `yaml:"anyScope"`
	// Roles: the caller must have at least one of them, see JWT.RolesClaim. JWT
	// only.
	Roles []string `yaml:"roles"`
	// RequiredClaims must be there, and not be null. JWT only.
	RequiredClaims []string `yaml:"requiredClaims"`
	// Claims: each named claim must equal, or as a list contain, one of the
	// values. Of an introspected token the members of the answer are its claims.
	// Not for APIKey.
	Claims map[string][]string `yaml:"claims"`
	// Permissions must all be on the key. APIKey only.
	Permissions []string `yaml:"permissions"`
	// Rule is an expression in CEL (https://cel.dev) that must come to true,
	// over claims (JWT) or key (APIKey), and request. Not for the others. One line: a long one is
	// folded, as by YAML's >-.
	Rule string `yaml:"rule"`
	// Mode is whether the requirement is enforced. The empty string means enforce.
	Mode RequirementMode `yaml:"mode"`
}

// InShadow tells that the requirement is judged and counted, and not enforced.
func (q *Requirement) InShadow() bool { return q.Mode == ModeShadow }

// RequirementMode is whether a requirement is enforced.
type RequirementMode string

// The modes. A requirement in shadow is judged and counted, and protects
// nothing: what it would answer is in metrics, access log and status alone.
const (
	ModeEnforce RequirementMode = "enforce"
	ModeShadow  RequirementMode = "shadow"
)

// Destination is one side of a split.
type Destination struct {
	Backend string `yaml:"backend" required:"true"`
	// Weight is the share of requests, against the sum of the weights. A
	// single destination needs none; of several, each says its own.
	// 0 is none of them.
	Weight *int `yaml:"weight"`
	// Request and Response change headers on the way to and from this side
	// alone, and none that the route itself changes.
	Request  *HeaderChanges `yaml:"request"`
	Response *HeaderChanges `yaml:"response"`
}

// StickyPart is what a caller can be kept on its side by: user, tenant, apiKey,
// clientIP, header:NAME, cookie:NAME or claim:NAME. But for cookies it means what
// the KeyPart does.
type StickyPart string

// StickyCookiePrefix begins the parts that are a cookie.
const StickyCookiePrefix = "cookie:"

// Pin maps the values of a header, a cookie or a claim to backends of the route.
// Exactly one of the three is named. It goes before Sticky.
type Pin struct {
	// Header is a request header.
	Header string `yaml:"header"`
	// Cookie is a cookie.
	Cookie string `yaml:"cookie"`
	// Claim is one of the caller's token. Of a list, its first element that has a
	// backend counts.
	Claim string `yaml:"claim"`
	// Values have the backends. A request with any other value is not pinned.
	Values map[string]string `yaml:"values" required:"true"`
}

// Rollout moves the share of one backend of a route, the canary, by itself: step by
// step while it stands, and back when it does not. While a route has one, the weights
// in To say only how the others share the rest.
type Rollout struct {
	// Backend is the canary: one of the route's To, or of its mirrors. Of a mirror
	// the percentage moves in place of a weight: it gets copies, and no client waits
	// for it.
	Backend string `yaml:"backend" required:"true"`
	// Release is which release of the backend it is, in any words. Another one begins
	// anew.
	Release string `yaml:"release"`
	// Steps are the canary's shares in percent, 1 to 100, rising.
	Steps []int `yaml:"steps" required:"true"`
	// Every is how long each step lasts, at least.
	Every Duration `yaml:"every" required:"true"`
	// BackEvery is how long each step back lasts when the canary does not stand. 0
	// takes all of its share away at once.
	BackEvery Duration `yaml:"backEvery"`
	// AbortWhen says what the canary must not exceed. Nil compares it with the stable
	// side alone, by the defaults.
	AbortWhen *AbortWhen `yaml:"abortWhen"`
}

// AbortWhen says when a rollout is taken back. Whatever it says, the canary is also
// compared with the other backends of the route.
type AbortWhen struct {
	// ErrorRate is the share of the canary's requests that may fail, below 1. 0 is no
	// bound.
	ErrorRate float64 `yaml:"errorRate"`
	// P99 is how long 99 of 100 of its requests may take at most. 0 is no bound.
	P99 Duration `yaml:"p99"`
	// MinRequests are those of the canary in a step without which nothing is decided.
	// 0 means 50.
	MinRequests int `yaml:"minRequests"`
	// Tolerance is how much worse than the others it may be.
	Tolerance *RolloutTolerance `yaml:"tolerance"`
}

// RolloutTolerance is how much worse than the other backends of its route a canary
// may be.
type RolloutTolerance struct {
	// Errors is how many times their error rate its own may be, at least 1. 0 means
	// 1.25.
	Errors float64 `yaml:"errors"`
	// Latency is how many times their p99 its own may be, at least 1. 0 means 1.2.
	// 5 ms more than theirs is always tolerated.
	Latency float64 `yaml:"latency"`
}

// Retry repeats failed attempts at a backend.
type Retry struct {
	// Attempts is how many times a request is repeated after the first try. 0
	// repeats none, and is only good for a PerTryTimeout.
	Attempts int `yaml:"attempts" required:"true"`
	// On lists Envoy's retry conditions. Empty means connect-failure,
	// refused-stream and unavailable: those that no backend has begun to serve.
	On []string `yaml:"on"`
	// Codes are statuses of a backend that are repeated, too: 400 to 599.
	Codes []int `yaml:"codes"`
	// PerTryTimeout bounds one attempt. 0 means only the route's timeout does.
	// An attempt that was cut is repeated where On has 5xx or gateway-error.
	PerTryTimeout Duration `yaml:"perTryTimeout"`
	// Backoff is how long to wait before a repeat. Nil is 200ms and up to 2s.
	Backoff *Backoff `yaml:"backoff"`
}

// Backoff is the wait before a repeated attempt: a random time below Base, then
// below 3 times Base, 7 times, 15 times and so on, and never above Max.
type Backoff struct {
	// Base bounds the first wait. 0 means 200ms.
	Base Duration `yaml:"base"`
	// Max bounds every wait. 0 means ten times Base.
	Max Duration `yaml:"max"`
	// RetryAfter waits as long as the backend's Retry-After header says (in
	// seconds), where that is no longer than this. 0 does not heed the header.
	RetryAfter Duration `yaml:"retryAfter"`
}

// Hedge sends a request twice, and takes the first good answer.
type Hedge struct {
	// OnPerTryTimeout repeats an attempt that takes longer than the
	// retry's perTryTimeout, and does not cut it. It must be true.
	OnPerTryTimeout bool `yaml:"onPerTryTimeout" required:"true"`
}

// GRPCTranscode names the descriptor set and the services in it.
type GRPCTranscode struct {
	Descriptor string   `yaml:"descriptor" required:"true"`
	Services   []string `yaml:"services" required:"true"`
}

// Rewrite is the path and host that the backend sees.
type Rewrite struct {
	// Path has the form of a Match.Path. Its variables are those of the
	// route's own path, and its /** is what that one's took. Empty keeps the
	// path; the query is always kept.
	Path string `yaml:"path"`
	// Host is what the backend sees as its host. Empty keeps the client's.
	Host string `yaml:"host"`
}

// HeaderChanges are what becomes of headers, each named in one of the three.
type HeaderChanges struct {
	// Set replaces what is there.
	Set map[string]string `yaml:"set" secret:"true"`
	// Add puts a line beside those that are there.
	Add map[string]string `yaml:"add" secret:"true"`
	// Remove takes all lines away.
	Remove []string `yaml:"remove"`
}

// CORS is whose pages may call a route, and how
// (https://fetch.spec.whatwg.org/#http-cors-protocol).
// The gateway answers the preflights for the route's requests, without asking
// for a credential, which no preflight has; and what a backend says of CORS is
// not passed on.
type CORS struct {
	// Origins are as https://shop.example.com, with a port where it is not the
	// usual one; https://*.example.com for all names below one; https://* for
	// all of a scheme; or "*" alone.
	Origins []string `yaml:"origins" required:"true"`
	// Methods may be used. Empty means those of the route.
	Methods []string `yaml:"methods"`
	// Headers may be sent, beside those that every page may send. "*" alone is
	// all.
	Headers []string `yaml:"headers"`
	// ExposeHeaders may be read from an answer, beside those that every page
	// may read. "*" alone is all; not with Credentials.
	ExposeHeaders []string `yaml:"exposeHeaders"`
	// Credentials lets pages send cookies and other credentials that a browser
	// adds by itself. A token that a page puts into Authorization is not such.
	Credentials bool `yaml:"credentials"`
	// MaxAge is how long, in whole seconds, a browser may remember a preflight's
	// answer. 0 means a browser's default, 5s.
	MaxAge Duration `yaml:"maxAge"`
}

// Mirror copies a percentage of requests to a backend and drops the answers.
type Mirror struct {
	Backend string `yaml:"backend" required:"true"`
	// Percent is 0 to 100, in steps of 0.0001. Nil is all of them.
	Percent *float64 `yaml:"percent"`
}

// Redirect is an answer that names another place. What is empty stays as it is
// in the request; the query always does.
type Redirect struct {
	// Status is 301, 302, 303, 307 or 308. 0 is 302, which nobody remembers.
	Status int `yaml:"status"`
	// Scheme is http or https.
	Scheme string `yaml:"scheme"`
	// Host is a name, without a port.
	Host string `yaml:"host"`
	// Port is the port of that place. 0 is the usual one of its scheme.
	Port int `yaml:"port"`
	// Path has the form of Rewrite.Path.
	Path string `yaml:"path"`
}

// Respond is an answer of the gateway's own.
type Respond struct {
	// Status is 200 to 599.
	Status int `yaml:"status" required:"true"`
	// Body is sent as it is. At most 4096 bytes, Envoy's bound.
	Body    string            `yaml:"body" text:"true"`
	Headers map[string]string `yaml:"headers"`
}

// Duration is a time.Duration written as 500ms, 10s, 5m or 1h30m.
type Duration time.Duration

// Or returns d, or otherwise where d is 0.
func (d Duration) Or(otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return time.Duration(d)
}

// Rate is a number of events in a time: 10/s is {10, time.Second}.
type Rate struct {
	Events int64
	Per    time.Duration
}
