package config

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

	// ConnectTimeout is how long a connection may take to be made. 0 means 2s.
	ConnectTimeout Duration `yaml:"connectTimeout"`
	// IdleTimeout closes a connection that has had no request for so long. 0 means 1h.
	// It must be less than what the backend itself closes connections after, or a
	// request may meet one that is just being closed.
	IdleTimeout Duration `yaml:"idleTimeout"`
	// MaxLifetime is how old a connection may become; requests on it are finished. 0
	// is any age.
	MaxLifetime Duration `yaml:"maxLifetime"`
	// MaxRequestsPerConnection is how many requests a connection serves. 0 is any number.
	MaxRequestsPerConnection int `yaml:"maxRequestsPerConnection"`
	// Preconnect is how many connections are kept ready for each that is needed, 1 to 3:
	// 1.5 has one to spare for each two. 0 means 1, none to spare.
	Preconnect float64 `yaml:"preconnect"`
	// BufferBytes is about how much of one direction is held for a connection before
	// the other end is slowed down. 0 means 32768.
	BufferBytes int `yaml:"bufferBytes"`
	// SourceAddress is the IP address of this machine that connections come from. The
	// empty string means that the system chooses.
	SourceAddress string `yaml:"sourceAddress"`
	// TCPKeepalive has the system probe connections on which nothing moves. Nil does not.
	TCPKeepalive *TCPKeepalive `yaml:"tcpKeepalive"`
	// HTTP2 is for backends that are spoken to in HTTP/2. Nil is its defaults.
	HTTP2 *BackendHTTP2 `yaml:"http2"`
}

// TCPKeepalive finds out that the other end of a connection has gone without a word,
// as behind a firewall that forgets. Zero fields are the system's own.
type TCPKeepalive struct {
	// Time is after how long a silence the first probe is sent, in whole seconds.
	Time Duration `yaml:"time"`
	// Interval is the time from probe to probe, in whole seconds.
	Interval Duration `yaml:"interval"`
	// Probes is how many go unanswered before the connection is given up.
	Probes int `yaml:"probes"`
}

// BackendHTTP2 are the settings of connections in HTTP/2 to a backend.
type BackendHTTP2 struct {
	// MaxConcurrentStreams is how many requests one connection has at a time, at most;
	// the backend may say less. 0 means 100.
	MaxConcurrentStreams int `yaml:"maxConcurrentStreams"`
	// StreamWindow and ConnectionWindow are how many bytes of answers a backend may
	// send ahead of who reads them. 0 means 65536 and 1048576. Answers that are large
	// and far away want more.
	StreamWindow     int `yaml:"streamWindow"`
	ConnectionWindow int `yaml:"connectionWindow"`
	// PingInterval is how often a connection is asked whether it lives. 0 is never.
	PingInterval Duration `yaml:"pingInterval"`
	// PingTimeout is how long its answer may take before the connection is given up.
	// 0 means 5s.
	PingTimeout Duration `yaml:"pingTimeout"`
}
