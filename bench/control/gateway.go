package main

import (
	"bytes"
	"fmt"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// gateway is a config in the making: the routes and the backends in the order
// in which a file has them. It is served either as a config, to the packages in
// this process, or as text, to gatewright.
type gateway struct {
	address  string
	backends []*config.Backend
	routes   []*config.Route
	provider *config.JWT // of all its configs, where routes have policies
}

// newGateway is a gateway on a free port.
func newGateway(routes []*config.Route) (*gateway, error) {
	address, err := testenv.FreeAddr()
	if err != nil {
		return nil, fmt.Errorf("finding a port for Envoy: %w", err)
	}
	return &gateway{address: address, routes: routes}, nil
}

// config is the gateway as config.Parse reads it from text. Routes and backends
// are shared with the gateway: they are replaced, and never changed.
func (g *gateway) config() *config.Config {
	c := &config.Config{
		Listeners: []*config.Listener{{Name: "public", Address: g.address}},
		Backends:  make(map[string]*config.Backend, len(g.backends)),
		Routes:    append([]*config.Route(nil), g.routes...),
	}
	for _, b := range g.backends {
		c.Backends[b.Name] = b
	}
	if g.hasPolicies() {
		if g.provider == nil {
			g.provider = theIssuer().provider()
		}
		c.Auth.JWT = map[string]*config.JWT{"main": g.provider}
	}
	return c
}

// text is the config file.
func (g *gateway) text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "listeners:\n  - {name: public, address: %q}\n", g.address)
	if len(g.backends) > 0 {
		b.WriteString("backends:\n")
	}
	for _, backend := range g.backends {
		fmt.Fprintf(&b, "  %s: {endpoints: [%q]", backend.Name, backend.Endpoints[0].Address)
		if lb := backend.LoadBalancing; lb != nil {
			fmt.Fprintf(&b, ", loadBalancing: %s", lb.Policy)
		}
		if c := backend.Connections; c != nil {
			fmt.Fprintf(&b, ", connections: {maxRequests: %d}", c.MaxRequests)
		}
		if o := backend.OutlierDetection; o != nil {
			fmt.Fprintf(&b, ", outlierDetection: {consecutive5xx: %d}", o.Consecutive5xx)
		}
		b.WriteString("}\n")
	}
	if g.hasPolicies() {
		p := theIssuer().provider()
		fmt.Fprintf(&b, "auth:\n  jwt:\n    main: {issuer: %q, audiences: [%s], jwks: {inline: '%s'}}\n", p.Issuer, p.Audiences[0], p.JWKS.Inline)
	}
	b.WriteString("routes:\n")
	for _, r := range g.routes {
		auth := "public"
		if !r.Auth.Public {
			auth = fmt.Sprintf("{anyOf: [{jwt: main, scopes: [%q]}]}", r.Auth.AnyOf[0].Scopes[0])
		}
		fmt.Fprintf(&b, "  - {name: %s, match: {hosts: [%s], path: %q}, auth: %s", r.Name, r.Match.Hosts[0], r.Match.Path, auth)
		if r.Respond != nil {
			fmt.Fprintf(&b, ", respond: {status: %d, body: %q}", r.Respond.Status, r.Respond.Body)
		} else {
			fmt.Fprintf(&b, ", to: [{backend: %s}]", r.To[0].Backend)
		}
		if r.Timeout != 0 {
			fmt.Fprintf(&b, ", timeout: %dms", r.Timeout.Or(0).Milliseconds())
		}
		b.WriteString("}\n")
	}
	return b.Bytes()
}

// hasPolicies tells whether its routes ask for tokens.
func (g *gateway) hasPolicies() bool { return len(g.routes) > 0 && !g.routes[0].Auth.Public }
