// Package telemetry makes the log and the metrics registry, once; main passes
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
	// LogLevel is debug, info, warn or error.
	LogLevel string `envconfig:"GATEWRIGHT_LOG_LEVEL" default:"info"`
	// LogFormat is text or json.
	LogFormat string `envconfig:"GATEWRIGHT_LOG_FORMAT" default:"text"`
}

// NewLogger returns a logger that writes to w. The error names the setting
// that is wrong.
func NewLogger(s Settings, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return nil, fmt.Errorf("GATEWRIGHT_LOG_LEVEL=%s: want debug, info, warn or error", s.LogLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch s.LogFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, fmt.Errorf("GATEWRIGHT_LOG_FORMAT=%s: want text or json", s.LogFormat)
	}
}

// NewRegistry returns a registry with the metrics of the process and of Go.
func NewRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return reg
}
