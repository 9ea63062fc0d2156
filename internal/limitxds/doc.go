// Package limitxds takes rate limit configuration from an xDS server, as
// envoyproxy/ratelimit does with CONFIG_TYPE=GRPC_XDS_SOTW: Envoy Gateway so serves the
// global limits of its BackendTrafficPolicies.
//
// The server is asked by state-of-the-world xDS, on its aggregated stream, for all
// resources of ratelimit.config.ratelimit.v3.RateLimitConfig. What they say is read as a
// folder of that server's files is, by internal/limitfiles, and by the same rules: all of
// it is served, or nothing has changed and the server is told what is wrong with it, in a
// NACK. What is served outlives the server, the stream and, in a file, this process.
package limitxds
