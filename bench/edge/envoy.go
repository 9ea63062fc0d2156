package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/gatewright/gatewright/bench/internal/rig"
	"github.com/gatewright/gatewright/internal/testenv"
)

// plain is an Envoy that knows nothing of Gatewright, with a few filters before the
// one that forwards.
type plain struct {
	filters  string // YAML, at the indentation of envoyConfig
	limits   string // of the route: what makes a descriptor
	clusters string
}

// start starts one, with one thread that serves.
func (p plain) start(program, dir, backend string) (_ *rig.Process, addr string, err error) {
	if addr, err = testenv.FreeAddr(); err != nil {
		return nil, "", err
	}
	file, err := os.CreateTemp(dir, "envoy-*.yaml")
	if err != nil {
		return nil, "", fmt.Errorf("writing Envoy's config: %w", err)
	}
	defer func() { _ = file.Close() }() // Envoy says what it lacks
	if _, err := file.WriteString(p.config(addr, backend)); err != nil {
		return nil, "", fmt.Errorf("writing Envoy's config: %w", err)
	}
	process, err := rig.StartProcess(exec.Command(program, "-c", filepath.Clean(file.Name()), "--concurrency", "1", "-l", "error", "--use-dynamic-base-id"))
	return process, addr, err
}

func (p plain) config(addr, backend string) string {
	return fmt.Sprintf(envoyConfig, address(addr), p.limits, p.filters, address(backend), p.clusters)
}

func address(hostPort string) string {
	host, port, _ := strings.Cut(hostPort, ":")
	return fmt.Sprintf("{socket_address: {address: %q, port_value: %s}}", host, port)
}

// envoyConfig has the bounds of connections and requests that Gatewright's own has, and
// nothing else that a plain Envoy would not have.
const envoyConfig = `
node: {id: bench, cluster: bench}
static_resources:
  listeners:
  - name: bench
    address: %s
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /}
                route:
                  cluster: app
                  %s
          http_filters:
          %s
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: app
    type: STATIC
    load_assignment:
      cluster_name: app
      endpoints: [{lb_endpoints: [{endpoint: {address: %s}}]}]
  %s
`

// grpcCluster is one of a server that is called by gRPC.
func grpcCluster(name, addr string) string {
	return fmt.Sprintf(`
  - name: %s
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment:
      cluster_name: %s
      endpoints: [{lb_endpoints: [{endpoint: {address: %s}}]}]
`, name, name, address(addr))
}

// askedOf is an Envoy that asks a server of ext_authz.
func askedOf(addr string) plain {
	return plain{clusters: grpcCluster("authz", addr), filters: `
          - name: envoy.filters.http.ext_authz
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
              transport_api_version: V3
              grpc_service: {envoy_grpc: {cluster_name: authz}, timeout: 1s}
`}
}

// countedBy is an Envoy that verifies tokens itself, with a cache of them, and has an
// envoyproxy/ratelimit count the requests of each user.
func countedBy(addr string, jwks []byte) plain {
	return plain{
		clusters: grpcCluster("ratelimit", addr),
		limits:   `rate_limits: [{actions: [{request_headers: {header_name: x-user-id, descriptor_key: user}}]}]`,
		filters: fmt.Sprintf(`
          - name: envoy.filters.http.jwt_authn
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers:
                main:
                  issuer: %s
                  audiences: [api]
                  forward: true
                  local_jwks: {inline_string: '%s'}
                  claim_to_headers: [{header_name: x-user-id, claim_name: sub}]
                  jwt_cache_config: {jwt_cache_size: 10000}
              rules: [{match: {prefix: /}, requires: {provider_name: main}}]
          - name: envoy.filters.http.ratelimit
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit
              domain: bench
              failure_mode_deny: true
              timeout: 1s
              rate_limit_service:
                transport_api_version: V3
                grpc_service: {envoy_grpc: {cluster_name: ratelimit}}
`, rig.IssuerName, jwks),
	}
}
