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

// and is one with the filters of both, in this order.
func (p plain) and(q plain) plain {
	return plain{filters: p.filters + q.filters, limits: p.limits + q.limits, clusters: p.clusters + q.clusters}
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

// envoyConfig has what an Envoy cannot do without, with Envoy's own defaults.
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
