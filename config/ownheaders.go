package config

import (
	"slices"
	"strings"
)

// TraceIDHeader carries the trace's id to the backend and back to the client.
const TraceIDHeader = "X-Trace-ID"

// WellKnownIdentity are headers that backends are wont to believe. They are
// taken from clients even where no provider forwards them.
var WellKnownIdentity = []string{"X-User-ID", "X-User-Role", "X-Tenant-ID"}

// OwnPrefixes begin the names of headers by which Envoy is steered, and by which
// the gateway finds its routes. Those of clients are taken away everywhere.
var OwnPrefixes = []string{"x-envoy-", "x-gatewright-"}

// RerouteHeader is by what Check tells Envoy where a request goes: see RerouteKey.
// No backend sees it.
const RerouteHeader = "x-gatewright-to"

// CountedHeader tells Check which limit a request will be charged to behind it, inside
// Envoy. No backend sees it.
const CountedHeader = "x-gatewright-counted"

// CountedAddressHeader tells such a limit of the client's address, where it has to look at
// its text. No backend sees it.
const CountedAddressHeader = countedPrefix + "address"

// countedPrefix begins the names of the headers by which such limits count.
const countedPrefix = "x-gatewright-key-"

// RerouteKey names a route's way to a backend, in RerouteHeader. Names have no
// slash. The backend is empty for routes that have none.
func RerouteKey(route, backend string) string { return route + "/" + backend }

// TakenFromEveryone tells whether a header is one that is taken out of every
// request on every listener, whatever the config says: those of providers are
// IdentityHeaders.
func TakenFromEveryone(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(OwnPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) ||
		name == strings.ToLower(TraceIDHeader) ||
		slices.ContainsFunc(WellKnownIdentity, func(known string) bool { return strings.EqualFold(known, name) })
}
