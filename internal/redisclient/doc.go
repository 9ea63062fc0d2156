// Package redisclient says how Gatewright's packages reach a Redis: one reading
// of GATEWRIGHT_REDIS_URL, for one server, a Cluster or a set of Sentinels, and
// clients that fail fast and once.
package redisclient
