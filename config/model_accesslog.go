package config

// AccessLog is which requests have a line in the log, and where that goes. Whatever it
// says, metrics, breakers and rollouts know of every request.
type AccessLog struct {
	// Successes is how many of the requests that have gone well are logged, in percent, 0
	// to 100, in steps of 0.01. All others always are: answers of 400 and above, calls of
	// gRPC with another status than OK, and what was out of the ordinary in any way. Left
	// out, it is 100.
	Successes *float64 `yaml:"successes"`
	// OTLP sends the lines to a collector of OpenTelemetry as logs, too. Nil does not.
	OTLP *LogSink `yaml:"otlp"`
	// Stdout is whether they are on the standard output of the Envoy. Left out, it is
	// true.
	Stdout *bool `yaml:"stdout"`
}

// LogSink is where lines of the log are sent.
type LogSink struct {
	// Backend is the backend that takes them, by OTLP: by gRPC where it speaks that, and
	// else by HTTP.
	Backend string `yaml:"backend" required:"true"`
	// Path is where it takes them by HTTP. Empty means /v1/logs.
	Path string `yaml:"path"`
}

// LoggedSuccesses is the percentage of the requests that have gone well that are logged.
func (a *AccessLog) LoggedSuccesses() float64 {
	if a == nil || a.Successes == nil {
		return 100
	}
	return *a.Successes
}

// OnStdout tells whether lines are on standard output.
func (a *AccessLog) OnStdout() bool { return a == nil || trueUnlessSaid(a.Stdout) }

// Collector is where lines are sent, or nil.
func (a *AccessLog) Collector() *LogSink {
	if a == nil {
		return nil
	}
	return a.OTLP
}
