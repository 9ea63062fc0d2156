package config

// Backend is a service that routes forward to.
type Backend struct {
	// Name is the key under which the backend stands in the file.
	Name string `yaml:"-"`
	// Endpoints are host:port. A host name is resolved by Envoy, and followed; a backend
	// has either addresses or host names, not both. Exactly one of it and Discovery is
	// given.
	Endpoints []*Endpoint `yaml:"endpoints"`
	// Discovery says who knows where the backend is, where that is not the config.
	Discovery *Discovery `yaml:"discovery"`
	// DNS says how host names in Endpoints are resolved. Nil is every 5 s, by the
	// resolvers of the machine, IPv4 first.
	DNS *DNS `yaml:"dns"`
	// Protocol is what the backend speaks. The empty string means http1.
	Protocol Protocol `yaml:"protocol"`
	// Trailers passes on the trailers of messages to and from a backend that speaks
	// HTTP/1.1; in HTTP/2 they always are. Clients of HTTP/1.1 have them where
	// Listener.Trailers says so.
	Trailers bool `yaml:"trailers"`
	// LoadBalancing picks the endpoint. Nil means round_robin.
	LoadBalancing *LoadBalancing `yaml:"loadBalancing"`
	// SessionAffinity keeps each client on one endpoint. Nil does not.
	SessionAffinity *SessionAffinity `yaml:"sessionAffinity"`
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
	TLS *BackendTLS `yaml:"tls"`
	// ProxyProtocol begins each connection to the backend with the address that the
	// client has connected from, in front of TLS where there is any. The empty string
	// does not. A connection is then for one client's connection alone.
	ProxyProtocol ProxyProtocolVersion `yaml:"proxyProtocol"`
}

// ProxyProtocolVersion is how the header of the PROXY protocol is written:
// https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt.
type ProxyProtocolVersion string

// The versions: in text, and in bytes.
const (
	ProxyProtocolV1 ProxyProtocolVersion = "v1"
	ProxyProtocolV2 ProxyProtocolVersion = "v2"
)

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

// BackendTLS is TLS from Envoy to a backend. A backend that shows another
// certificate than it must is not spoken to. Paths are relative as JWKS.File is; the
// files are read again when they change, and what cannot be used then changes
// nothing.
type BackendTLS struct {
	// CA is the path of the PEM bundle of the authorities that vouch for the backend.
	// Empty means those that the machine of Gatewright trusts.
	CA string `yaml:"ca"`
	// ServerName is the DNS name that is asked for (SNI) and must be in the backend's
	// certificate, or an IP address that must be in it. Empty means the host name of
	// each endpoint; endpoints that are addresses need one.
	ServerName string `yaml:"serverName"`
	// Certificate is shown to the backend. Nil shows none.
	Certificate *Certificate `yaml:"certificate"`
	// MinVersion is the lowest TLS version spoken, "1.2" (default) or "1.3".
	MinVersion string `yaml:"minVersion"`
}
