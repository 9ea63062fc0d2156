// Package routing is the route table in Go: which route takes a request, and
// why not another.
//
// An Envoy that Gatewright configures matches routes itself, and tells Check
// the name. Somebody else's Envoy does not; for it a Table matches the same
// routes in the same way. The rules are those of package config; the details in
// which an Envoy might be misread (which bytes a normalized path has, what is
// decoded, what a repeated parameter means) are tested against a real one.
//
// A Table takes requests as an Envoy with our settings hands them to its
// routes. Normalize makes them so.
package routing
