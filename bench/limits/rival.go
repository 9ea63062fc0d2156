package main

// rivalDomain is the domain of rivalConfig.
const rivalDomain = "bench"

// rivalConfig is what envoyproxy/ratelimit is measured with: a limit for each
// user, each tenant and each address, none of which is ever reached.
const rivalConfig = `domain: bench
descriptors:
  - key: user
    rate_limit: {unit: second, requests_per_unit: 50000}
  - key: tenant
    rate_limit: {unit: second, requests_per_unit: 50000}
  - key: client_ip
    rate_limit: {unit: second, requests_per_unit: 50000}
`
