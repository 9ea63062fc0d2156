package config

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
