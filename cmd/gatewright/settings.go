package main

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/breakerpolicy"
	"github.com/gatewright/gatewright/console"
	"github.com/gatewright/gatewright/internal/certs"
	"github.com/gatewright/gatewright/internal/door"
	"github.com/gatewright/gatewright/internal/limitxds"
	"github.com/gatewright/gatewright/internal/telemetry"
	"github.com/gatewright/gatewright/keys"
	"github.com/gatewright/gatewright/ratelimit"
	"github.com/gatewright/gatewright/rollout"
	"github.com/gatewright/gatewright/store"
)

// settings are all that the environment says: one small struct for each
// package that needs one. Each field's tag is the whole name of its variable.
type settings struct {
	process   processSettings
	store     store.Settings
	door      door.Settings
	envoy     envoySettings
	console   console.Settings
	telemetry telemetry.Settings
	authz     authz.Settings
	keys      keys.Settings
	ratelimit ratelimit.Settings
	rules     ratelimit.RuleSettings
	limitXDS  limitxds.Settings
	breakers  breakerpolicy.Settings
	rollout   rollout.Settings
	certs     certs.Settings
}

type processSettings struct {
	// Config is where the config is: the path of a file, etcd://host:2379/key
	// or consul://host:8500/key.
	Config string `envconfig:"GATEWRIGHT_CONFIG" default:"gateway.yaml"`
	// StateDir keeps what outlives the process: the last good config, and the
	// history of config files.
	StateDir string `envconfig:"GATEWRIGHT_STATE_DIR" default:".gatewright"`
	// ACMEDir keeps the certificates that are obtained by ACME, with their keys. Several
	// gateways that have the same one share them, and answer for each other. Empty: in
	// StateDir, of this gateway alone.
	ACMEDir string `envconfig:"GATEWRIGHT_ACME_DIR"`
	// GRPCAddr is where Envoys reach Gatewright: host:port or unix:PATH.
	GRPCAddr string `envconfig:"GATEWRIGHT_GRPC_ADDR" default:"127.0.0.1:9001"`
	// GRPCPlaintext allows a gRPC address that other machines can reach,
	// though nothing on it is encrypted or authenticated.
	GRPCPlaintext bool `envconfig:"GATEWRIGHT_DANGEROUS_PLAINTEXT_GRPC"`
}

type envoySettings struct {
	// Binary is the Envoy that `run` starts. Empty: found on PATH or in .tools/.
	Binary string `envconfig:"GATEWRIGHT_ENVOY"`
	// Concurrency is its number of worker threads. 0: one for each core.
	Concurrency int `envconfig:"GATEWRIGHT_ENVOY_CONCURRENCY"`
	// MaxConnections bounds its clients, on all listeners together.
	MaxConnections int `envconfig:"GATEWRIGHT_ENVOY_MAX_CONNECTIONS" default:"50000"`
	// MaxHeap bounds its heap: a size as 512MiB, "none", or "auto", which is a share of
	// the memory limit of the container.
	MaxHeap string `envconfig:"GATEWRIGHT_ENVOY_MAX_HEAP" default:"auto"`
	// DrainDelay is how long new connections are still served at the end, of Envoys by
	// `serve`, while /readyz fails already: as long as whoever sends them here takes to
	// notice.
	DrainDelay time.Duration `envconfig:"GATEWRIGHT_DRAIN_DELAY" default:"2s"`
	// DrainTimeout is how long requests in flight are waited for after that.
	DrainTimeout time.Duration `envconfig:"GATEWRIGHT_DRAIN_TIMEOUT" default:"30s"`
	// ListenerDrain is how long connections of a listener that has changed or gone
	// may go on.
	ListenerDrain time.Duration `envconfig:"GATEWRIGHT_LISTENER_DRAIN" default:"10m"`
	// NodeID names the Envoy of this machine to the control plane.
	NodeID string `envconfig:"GATEWRIGHT_NODE_ID" default:"gatewright"`
}

// groups are pointers to the structs of s, in the order in which they are shown.
func (s *settings) groups() []any {
	return []any{&s.process, &s.store, &s.door, &s.envoy, &s.ratelimit, &s.rules, &s.limitXDS, &s.breakers, &s.rollout, &s.certs, &s.authz, &s.keys, &s.console, &s.telemetry}
}

// loadSettings reads the environment.
func loadSettings() (*settings, error) {
	s := &settings{}
	for _, group := range s.groups() {
		if err := envconfig.Process("", group); err != nil {
			return nil, fmt.Errorf("reading the environment: %w", explained(err))
		}
	}
	if err := s.readSecrets(); err != nil {
		return nil, fmt.Errorf("reading the environment: %w", err)
	}
	return s, nil
}

// explained names the variable, the value and the type that was wanted.
func explained(err error) error {
	parse, ok := err.(*envconfig.ParseError)
	if !ok {
		return err
	}
	return fmt.Errorf("%s=%s: want a value of type %s", parse.KeyName, parse.Value, parse.TypeName)
}

// unknownSettings are variables that look like ours and are not: most likely
// misspelt. They are warned of, not refused, since orchestrators add some
// (GATEWRIGHT_SERVICE_HOST in Kubernetes).
func unknownSettings() []string {
	known := map[string]bool{}
	for _, v := range variables() {
		known[v.name] = true
	}
	var out []string
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "GATEWRIGHT_") && !known[name] {
			out = append(out, name)
		}
	}
	return out
}

// variable is one environment variable, as shown to people.
type variable struct{ name, kind, otherwise string }

func variables() []variable {
	var out []variable
	known := map[string]bool{} // of two packages that need the same, the first tells of it
	var add func(t reflect.Type)
	add = func(t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Type.Kind() == reflect.Struct {
				add(f.Type)
				continue
			}
			if name := f.Tag.Get("envconfig"); !known[name] {
				known[name] = true
				out = append(out, variable{name, f.Type.String(), f.Tag.Get("default")})
			}
		}
	}
	for _, group := range (&settings{}).groups() {
		add(reflect.TypeOf(group).Elem())
	}
	return out
}

func newEnvironment() *cobra.Command {
	return &cobra.Command{
		Use:   "environment",
		Short: "The environment variables that set up the process, with their defaults",
		Example: `  gatewright environment
  GATEWRIGHT_ADMIN_ADDR=127.0.0.1:9102 gatewright run -c gateway.yaml`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, v := range variables() {
				fmt.Fprintf(cmd.OutOrStdout(), "%-40s %-15s %s\n", v.name, v.kind, v.otherwise)
			}
			return nil
		},
	}
}
