// Package ratelimit decides whether a request may pass the limits of its route,
// and serves the same decisions as Envoy's standard RateLimitService.
//
// The layers, from the inside out:
//
//	definition.go  what an algorithm is: integers in, integers out, no clock
//	bucket.go, slidingwindow.go, slidinglog.go, concurrency.go, fixedwindow.go,
//	quota.go       the algorithms
//	key.go         which bucket a request is counted in
//	call.go        what is asked of a store, and how take.lua is asked
//	memory.go      buckets of this process
//	redis.go       buckets that all instances share, by one script (take.lua)
//	guard.go       keeps requests away from a Redis that does not answer
//	near.go     what this process decides of limits that all instances share:
//	            from tokens taken ahead (leases.go), or by a view (views.go)
//	release.go     requests in flight, and their ends
//	limiter.go     the decision, and what each limit does without its store
//	service.go     the second door: envoy.service.ratelimit.v3.RateLimitService
//
// README.md walks one bucket through six steps, and states the bounds.
package ratelimit
