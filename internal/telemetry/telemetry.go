// Package telemetry makes the logs and the metrics registry, once; main passes
// them down.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Settings come from the environment.
type Settings struct {
	// LogLevel is debug, info, warn or error, and for a package another one, as
	// info,xds=debug,keys=warn: see Packages.
	LogLevel string `envconfig:"GATEWRIGHT_LOG_LEVEL" default:"info"`
	// LogFormat is text or json.
	LogFormat string `envconfig:"GATEWRIGHT_LOG_FORMAT" default:"text"`
}

// NewLogs returns the logs that write to w. The error names the setting that is
// wrong.
func NewLogs(s Settings, w io.Writer) (*Logs, error) {
	options := &slog.HandlerOptions{Level: slog.LevelDebug} // each package has its own
	var handler slog.Handler
	switch s.LogFormat {
	case "text":
		handler = slog.NewTextHandler(w, options)
	case "json":
		handler = slog.NewJSONHandler(w, options)
	default:
		return nil, fmt.Errorf("GATEWRIGHT_LOG_FORMAT=%s: want text or json", s.LogFormat)
	}
	l := newLogs(handler)
	if err := l.SetLevels(s.LogLevel); err != nil {
		return nil, fmt.Errorf("GATEWRIGHT_LOG_LEVEL=%s: %w", s.LogLevel, err)
	}
	return l, nil
}

// NewRegistry returns a registry with the metrics of the process and of Go.
func NewRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}
