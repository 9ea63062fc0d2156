package config

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
	// Placement says where the route's policy runs. The empty string leaves it to each
	// listener.
	Placement Placement `yaml:"placement"`
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
	// Timeout is for the whole request, retries included. 0 means 15s, and no bound
	// where the match is for gRPC: a call has its client's deadline. An upgraded
	// connection has none: only IdleTimeout ends it.
	Timeout Duration `yaml:"timeout"`
	// Stream lets answers go on for as long as they move: server-sent events, long
	// downloads, watches. Timeout then bounds only the time until the answer begins,
	// of each attempt.
	Stream bool `yaml:"stream"`
	// IdleTimeout ends a request, a stream or an upgraded connection on which
	// nothing has moved for so long, in either direction. 0 means the listener's
	// (5m), and 1h where Stream is set, or Timeout is not and the match is for gRPC.
	IdleTimeout Duration `yaml:"idleTimeout"`
	// GRPCWeb takes calls of gRPC-Web, too, which browsers can make, and turns them
	// into those of gRPC. Only with a match for gRPC. What the protocol's clients
	// need of CORS is added to the route's, if it has any.
	GRPCWeb bool `yaml:"grpcWeb"`
	// Upgrades are the protocols that a client may switch its connection to
	// (RFC 9110, section 7.8), as websocket, in lower case. Empty is none: a
	// request that asks to switch is answered with 403.
	Upgrades []string `yaml:"upgrades"`
	// Retry repeats failed attempts. Nil never does.
	Retry *Retry `yaml:"retry"`
	// Hedge sends slow requests a second time. A backend then serves some of
	// them twice, so they must do no harm when they are. Nil never does.
	Hedge *Hedge `yaml:"hedge"`
	// Tracing says how many of the requests are recorded. Nil means Config.Tracing.
	Tracing *RouteTracing `yaml:"tracing"`
	// OpenAPI holds the requests to a document. Nil does not.
	OpenAPI *RouteOpenAPI `yaml:"openapi"`
	// GRPCTranscode turns REST into gRPC. Nil does not.
	GRPCTranscode *GRPCTranscode `yaml:"grpcTranscode"`
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
	// Compress compresses answers for clients that take compressed ones. In the file
	// it is true, or a mapping. Nil compresses none.
	Compress *Compress `yaml:"compress"`
	// Decompress says which bodies are decompressed on their way: request, response.
	Decompress []Direction `yaml:"decompress"`
	// MaxBodyBytes is the longest body of a request, in bytes, also where none says
	// beforehand how long it is, and after it is decompressed. A longer one is
	// answered with 413. Of a stream all messages together count. 0 is no bound of
	// the route's own.
	MaxBodyBytes int64 `yaml:"maxBodyBytes"`
	// Body rewrites bodies of JSON by templates. Nil leaves them as they are.
	Body *Body `yaml:"body"`
	// Errors are bodies of errors of this route: they come before those of the config.
	Errors []*ErrorBody `yaml:"errors"`
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

// Rewrite is the path and host that the backend sees.
type Rewrite struct {
	// Path has the form of a Match.Path. Its variables are those of the
	// route's own path, and its /** is what that one's took. Empty keeps the
	// path.
	Path string `yaml:"path"`
	// Host is what the backend sees as its host. It may have variables, as
	// ${path.tenant}.internal; a request that lacks one, or makes no host of it, is
	// answered with 400. Empty keeps the client's.
	Host string `yaml:"host"`
	// Query changes parameters. Nil keeps all.
	Query *QueryChanges `yaml:"query"`
}

// QueryChanges are what becomes of the parameters of a query, each named in one of
// the four. Names and values are written as they are meant, and not as they are
// encoded.
type QueryChanges struct {
	// Set replaces all parameters of the name. A value may have variables, and one
	// that a request lacks leaves no such parameter.
	Set map[string]string `yaml:"set" secret:"true"`
	// Add puts one beside those that are there.
	Add map[string]string `yaml:"add" secret:"true"`
	// Remove takes all of the name away.
	Remove []string `yaml:"remove"`
	// Rename gives parameters another name. Those that have that one already go.
	Rename map[string]string `yaml:"rename"`
}

// HeaderChanges are what becomes of headers, each named in one of the four.
type HeaderChanges struct {
	// Set replaces what is there. On a route a value may have variables, as
	// ${claims.tenant}: see Template. A header of which a request lacks a part is not
	// set, and what a client says in it does not count.
	Set map[string]string `yaml:"set" secret:"true"`
	// Add puts a line beside those that are there.
	Add map[string]string `yaml:"add" secret:"true"`
	// Remove takes all lines away.
	Remove []string `yaml:"remove"`
	// Rename gives all lines of a header another name. Lines that have that one
	// already go. Not on the side of a split.
	Rename map[string]string `yaml:"rename"`
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
