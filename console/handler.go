// Package console is what an operator sees of a running gateway on its admin
// port: metrics, and whether it is alive and ready.
package console

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gatewright/gatewright/breakerpolicy"
	"github.com/gatewright/gatewright/keys"
	"github.com/gatewright/gatewright/rollout"
)

// Settings come from the environment.
type Settings struct {
	// Addr is where the admin port listens.
	Addr string `envconfig:"GATEWRIGHT_ADMIN_ADDR" default:"127.0.0.1:9002"`
	// Token lets callers from elsewhere than this machine read, and whoever has
	// it write. Without one, callers from elsewhere get nothing but the probes,
	// and nobody writes.
	Token string `envconfig:"GATEWRIGHT_ADMIN_TOKEN"`
	// TokenFile is a file with Token, which then stands in no environment. It is
	// read once, by who loads the settings.
	TokenFile string `envconfig:"GATEWRIGHT_ADMIN_TOKEN_FILE"`
	// FlightRecorder is how much of the process' execution trace is kept, for
	// /debug/flight. 0 keeps none.
	FlightRecorder time.Duration `envconfig:"GATEWRIGHT_FLIGHT_RECORDER" default:"0s"`
}

// Options are what the handler shows.
type Options struct {
	Token    string
	Registry *prometheus.Registry
	// Ready returns nil when the gateway serves, or else what it waits for.
	Ready func() error
	// Status is what GET /api/v1/status answers, as JSON.
	Status func() any
	// Keys are the API keys and the revocations of tokens. Without them there is
	// no API for either.
	Keys *keys.Store
	// Breakers are those of the config. Nil: there is no API for them.
	Breakers *breakerpolicy.Breakers
	// Rollouts are those of the routes. Nil: there is no API for them.
	Rollouts *rollout.Controller
	// Flight is what GET /debug/flight answers from. Nil: nothing is kept.
	Flight *FlightRecorder
	// Levels are those of the log. Nil: there is no API for them.
	Levels LogLevels
	// Log is told of what the database cannot answer, and of what operators do.
	Log *slog.Logger
}

// NewHandler returns the admin port's handler.
//
//	/healthz  200 while the process lives
//	/readyz   200 when the gateway serves; else 503 and the reason
//	/metrics  Prometheus; from this machine, or with the admin token
//	/api/v1/status  what is served, and how each Envoy stands; likewise
//	/api/v1/keys, /api/v1/tokens/revocations  see keysAPI
//	/api/v1/breakers  see breakersAPI
//	/api/v1/rollouts  see rolloutsAPI
//	/api/v1/log-levels  see logLevelsAPI
//	/debug/pprof/, /debug/flight  Go's profiles; with the admin token
func NewHandler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.Ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.Handle("GET /metrics", guarded(o.Token, promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{
		Registry: o.Registry, EnableOpenMetrics: true, // which has exemplars, for who asks for it
	})))
	mux.Handle("GET /api/v1/status", guarded(o.Token, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(o.Status()) // the caller may be gone
	})))
	o.Flight.register(mux, o.Token)
	if o.Levels != nil {
		logLevelsAPI{o.Levels, o.Log}.register(mux, o.Token)
	}
	if o.Keys != nil {
		keysAPI{o.Keys, o.Log}.register(mux, o.Token)
	}
	if o.Breakers != nil {
		breakersAPI{o.Breakers, o.Log}.register(mux, o.Token)
	}
	if o.Rollouts != nil {
		rolloutsAPI{o.Rollouts, o.Log}.register(mux, o.Token)
	}
	return mux
}

// guarded lets callers of this machine and holders of the token through.
func guarded(token string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case fromLoopback(r), token != "" && bears(r, token):
			next.ServeHTTP(w, r)
		case token == "":
			problem(w, http.StatusForbidden, "admin-loopback-only",
				"without GATEWRIGHT_ADMIN_TOKEN the admin port answers to this machine only")
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="gatewright admin"`)
			problem(w, http.StatusUnauthorized, "admin-token-required", "send the admin token as a bearer token")
		}
	})
}

// writing lets holders of the token through, and nobody else: who is on this
// machine may be a page in somebody's browser. It guards writes, and what costs.
func writing(token string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case token == "":
			problem(w, http.StatusForbidden, "admin-writes-disabled", "without GATEWRIGHT_ADMIN_TOKEN the admin port changes nothing")
		case !bears(r, token):
			w.Header().Set("WWW-Authenticate", `Bearer realm="gatewright admin"`)
			problem(w, http.StatusUnauthorized, "admin-token-required", "send the admin token as a bearer token")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// fromLoopback tells whether the caller is on this machine, and means it: a
// page in a browser here can reach the port under a name of its own, which a
// check of the Host header stops (DNS rebinding).
func fromLoopback(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() {
		return false
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// bears compares in a time that tells nothing about the token.
func bears(r *http.Request, token string) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	want, got := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(given))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

func problem(w http.ResponseWriter, status int, reason, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // the caller may be gone
		"type": "urn:gatewright:problem:" + reason, "title": http.StatusText(status),
		"status": status, "reason": reason, "detail": detail,
	})
}
