package main

import (
	"fmt"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// grpcCluster is one of a server that is called by gRPC.
func grpcCluster(name, addr string) string {
	return fmt.Sprintf(`
  - name: %s
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment:
      cluster_name: %s
      endpoints: [{lb_endpoints: [{endpoint: {address: %s}}]}]
`, name, name, address(addr))
}

// askedOf is an Envoy that asks a server of ext_authz, which is sent the one header that
// the policy is of. The timeout is longer than a machine stands still.
func askedOf(addr string) plain {
	return plain{clusters: grpcCluster("authz", addr), filters: `
          - name: envoy.filters.http.ext_authz
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
              transport_api_version: V3
              grpc_service: {envoy_grpc: {cluster_name: authz}, timeout: 30s}
              allowed_headers: {patterns: [{exact: authorization}]}
`}
}

// verifying is an Envoy that verifies tokens itself, with a cache of them, looks for
// the scope and forwards the claims: the least of Envoy's filters that holds to the
// policy. Gatewright's ask more of a token's header (typ, crit) and of its times, and
// have its reasons for a denial.
func verifying(jwks []byte) plain {
	return plain{filters: fmt.Sprintf(`
          - name: envoy.filters.http.jwt_authn
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers:
                main:
                  issuer: %s
                  audiences: [api]
                  local_jwks: {inline_string: '%s'}
                  claim_to_headers:
                  - {header_name: %s, claim_name: sub}
                  - {header_name: %s, claim_name: role}
                  - {header_name: %s, claim_name: tenant}
                  payload_in_metadata: main
                  normalize_payload_in_metadata: {space_delimited_claims: [scope]}
                  jwt_cache_config: {jwt_cache_size: 10000}
              rules: [{match: {prefix: /}, requires: {provider_name: main}}]
          - name: envoy.filters.http.rbac
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
              rules:
                policies:
                  scoped:
                    permissions: [{any: true}]
                    principals:
                    - metadata:
                        filter: envoy.filters.http.jwt_authn
                        path: [{key: main}, {key: scope}]
                        value: {list_match: {one_of: {string_match: {exact: users:read}}}}
`, rig.IssuerName, jwks, userHeader, roleHeader, tenantHeader)}
}

// byUser makes a descriptor of the user, whom a filter before has put into a header.
const byUser = "rate_limits: [{actions: [{request_headers: {header_name: " + userHeader + ", descriptor_key: user}}]}]"

// countedInEnvoy is an Envoy that counts the requests of each user itself, by the limits
// of ratelimitConfig.
func countedInEnvoy() plain {
	return plain{limits: byUser, filters: fmt.Sprintf(`
          - name: envoy.filters.http.local_ratelimit
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
              stat_prefix: bench
              filter_enabled: {default_value: {numerator: 100}}
              filter_enforced: {default_value: {numerator: 100}}
              token_bucket: {max_tokens: 1000000, tokens_per_fill: 1000000, fill_interval: 1s}
              max_dynamic_descriptors: 10000
              descriptors:
              - {entries: [{key: user, value: %s}], token_bucket: {max_tokens: 1, tokens_per_fill: 1, fill_interval: 3600s}}
              - {entries: [{key: user}], token_bucket: {max_tokens: 100000, tokens_per_fill: 100000, fill_interval: 1s}}
`, limitedUser)}
}

// countedBy is an Envoy that has an envoyproxy/ratelimit count the requests of each
// user.
func countedBy(addr string) plain {
	return plain{
		clusters: grpcCluster("ratelimit", addr),
		limits:   byUser,
		filters: `
          - name: envoy.filters.http.ratelimit
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit
              domain: bench
              failure_mode_deny: true
              timeout: 30s
              rate_limit_service:
                transport_api_version: V3
                grpc_service: {envoy_grpc: {cluster_name: ratelimit}}
`,
	}
}
