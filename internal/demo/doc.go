// Package demo holds the servers that the quickstart and the end-to-end tests
// put around the gateway: an identity provider and backends, as real HTTP
// servers.
//
// The identity provider SIGNS A TOKEN FOR ANYBODY WHO ASKS, with any claims. It
// shows how the gateway judges tokens. Nothing but a demonstration may trust it.
package demo
