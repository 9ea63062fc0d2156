package config

// HealthCheck is an active probe of each endpoint: exactly one of Path, GRPC and TCP.
type HealthCheck struct {
	// Path is requested by GET; a 200 is healthy, unless Expect says otherwise.
	Path string `yaml:"path"`
	// Host is the host of that request. The empty string means the backend's name.
	Host string `yaml:"host"`
	// Headers are added to that request.
	Headers map[string]string `yaml:"headers"`
	// Expect are the statuses that are healthy, as 204 or 2xx. Left out, 200 is.
	Expect []HealthyStatus `yaml:"expect"`
	// GRPC asks grpc.health.v1, for backends that are spoken to in HTTP/2.
	GRPC *GRPCHealthCheck `yaml:"grpc"`
	// TCP connects.
	TCP *TCPHealthCheck `yaml:"tcp"`
	// Interval is the time between probes. 0 means 5s.
	Interval Duration `yaml:"interval"`
	// Jitter is how much later a probe may come, at random, so that the Envoys of a fleet
	// do not probe as one. 0 is no later.
	Jitter Duration `yaml:"jitter"`
	// UnhealthyInterval is the time between probes of an endpoint that has been taken
	// out. 0 means Interval.
	UnhealthyInterval Duration `yaml:"unhealthyInterval"`
	// EdgeInterval is the time to the next probe of an endpoint that was healthy and
	// has just failed one, or the other way round, so that it is decided sooner. 0 means
	// Interval.
	EdgeInterval Duration `yaml:"edgeInterval"`
	// IdleInterval is the time between probes while the backend has never had a
	// request. 0 means Interval.
	IdleInterval Duration `yaml:"idleInterval"`
	// Timeout is how long a probe may take. 0 means 1s.
	Timeout Duration `yaml:"timeout"`
	// UnhealthyAfter is how many probes fail before an endpoint is taken out. An HTTP
	// answer that is not expected takes it out at once. 0 means 3.
	UnhealthyAfter int `yaml:"unhealthyAfter"`
	// HealthyAfter is how many probes pass before it is put back. 0 means 2.
	HealthyAfter int `yaml:"healthyAfter"`
	// Port is where endpoints are probed. 0 means that of the endpoint.
	Port int `yaml:"port"`
}

// GRPCHealthCheck asks whether a service of the backend serves (grpc.health.v1).
type GRPCHealthCheck struct {
	// Service is the name that is asked for. The empty string asks for the server as a
	// whole.
	Service string `yaml:"service"`
	// Authority is the host of the call. The empty string means the backend's name.
	Authority string `yaml:"authority"`
}

// TCPHealthCheck connects, and perhaps says something.
type TCPHealthCheck struct {
	// Send is sent after the connection is made. The empty string sends nothing.
	Send string `yaml:"send" text:"true"`
	// Receive must be in what comes back. The empty string waits for nothing: who
	// accepts connections is healthy.
	Receive string `yaml:"receive" text:"true"`
}

// HealthyStatus is a status from 100 to 599, or a class of them: 200 is {200, 200},
// 2xx is {200, 299}.
type HealthyStatus struct{ From, To int }
