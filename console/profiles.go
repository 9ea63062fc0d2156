package console

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"runtime/trace"
	"time"
)

// register puts Go's profiles at /debug/pprof/ (https://pkg.go.dev/net/http/pprof),
// and what the flight recorder has at /debug/flight. Both are for holders of the token
// alone: a profile costs CPU, and a page in a browser of this machine can ask for it.
func (f *FlightRecorder) register(mux *http.ServeMux, token string) {
	for path, handler := range map[string]http.HandlerFunc{
		"/debug/pprof/":        pprof.Index,
		"/debug/pprof/cmdline": pprof.Cmdline,
		"/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol":  pprof.Symbol,
		"/debug/pprof/trace":   pprof.Trace,
		"/debug/flight":        f.serve,
	} {
		mux.Handle("GET "+path, writing(token, handler))
	}
}

// FlightRecorder keeps the last seconds of the process' execution trace, so that
// what went wrong a moment ago can be looked at. Nil keeps none.
type FlightRecorder struct{ trace *trace.FlightRecorder }

// flightBytes bounds what a recorder keeps in memory, whatever the time.
const flightBytes = 32 << 20

// StartFlightRecorder begins to keep at least the last time, as far as it goes into
// 32 MiB; 0 keeps none, and is no recorder. A negative time, and another one of the
// process, are errors. The caller stops it.
func StartFlightRecorder(last time.Duration) (*FlightRecorder, error) {
	if last < 0 {
		return nil, fmt.Errorf("GATEWRIGHT_FLIGHT_RECORDER=%s: must not be negative", last)
	}
	if last == 0 {
		return nil, nil
	}
	r := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: last, MaxBytes: flightBytes})
	if err := r.Start(); err != nil {
		return nil, fmt.Errorf("starting the flight recorder: %w", err)
	}
	return &FlightRecorder{r}, nil
}

// Stop ends it.
func (f *FlightRecorder) Stop() {
	if f != nil {
		f.trace.Stop()
	}
}

// serve writes what is kept, for `go tool trace`.
func (f *FlightRecorder) serve(w http.ResponseWriter, _ *http.Request) {
	if f == nil {
		problem(w, http.StatusNotFound, "flight-recorder-off", "set GATEWRIGHT_FLIGHT_RECORDER to how much is to be kept, as 10s")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="gatewright.trace"`)
	_, _ = f.trace.WriteTo(w) // the caller may be gone, or another one is at it
}
