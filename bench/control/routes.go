package main

import (
	"fmt"
	"net/http"

	"github.com/gatewright/gatewright/config"
)

// routesOf are the routes of a table: on each host as many, in equal shares
// exact, with a variable, and with /**. Each answers by itself, with its name,
// so that what is measured is finding it.
func routesOf(s size) []*config.Route {
	out := make([]*config.Route, s.routes)
	for i := range out {
		out[i] = answering(fmt.Sprintf("r%d", i), hostOf(i, s), pathOf(i, s))
	}
	return under(s.policies, out)
}

// routesBehindVariables are routes that have nothing literal in common with
// their paths at the beginning: the worst case of a tree by prefixes.
func routesBehindVariables(s size) []*config.Route {
	out := make([]*config.Route, s.routes)
	for i := range out {
		out[i] = answering(fmt.Sprintf("r%d", i), hostOf(i, s), fmt.Sprintf("/{tenant}/things-%d", i))
	}
	return out
}

func hostOf(i int, s size) string { return fmt.Sprintf("h%d.example.com", i%s.hosts) }

func pathOf(i int, s size) string {
	switch i / s.hosts % 3 {
	case 0:
		return fmt.Sprintf("/v1/exact-%d/items", i)
	case 1:
		return fmt.Sprintf("/v1/things-%d/{id}/parts", i)
	default:
		return fmt.Sprintf("/v1/files-%d/**", i)
	}
}

// answering is a route that answers with a text, by default its name.
func answering(name, host, path string) *config.Route {
	r := route(name, host, path)
	r.Respond = &config.Respond{Status: http.StatusOK, Body: name}
	return r
}

// forwarding is a route to a backend.
func forwarding(name, host, path, backend string) *config.Route {
	r := route(name, host, path)
	r.To = []*config.Destination{{Backend: backend}}
	return r
}

func route(name, host, path string) *config.Route {
	return &config.Route{
		Name:  name,
		Match: config.Match{Hosts: []string{host}, Path: path},
		Auth:  &config.RouteAuth{Public: true},
	}
}

// saying is the route with another text.
func saying(r *config.Route, body string) *config.Route {
	changed := *r
	changed.Respond = &config.Respond{Status: r.Respond.Status, Body: body}
	return &changed
}
