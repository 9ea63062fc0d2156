package main

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// What rivals are to be told before they are measured: the same policy.
var (
	//go:embed rival/opa.rego
	opaPolicy string
	//go:embed rival/ratelimit.yaml
	ratelimitConfig string
)

// The values of -print.
const (
	printJWKS      = "jwks"
	printOPA       = "opa"
	printRatelimit = "ratelimit"
)

// printed is what -print says.
func (o options) printed() (string, error) {
	if err := o.validateRivals(); err != nil {
		return "", err
	}
	if o.print == printRatelimit {
		return ratelimitConfig, nil
	}
	issuer, err := o.issuer()
	if err != nil {
		return "", err
	}
	if o.print == printJWKS {
		return string(issuer.JWKS) + "\n", nil
	}
	return strings.NewReplacer("JWKS", string(issuer.JWKS), "ISSUER", rig.IssuerName).Replace(opaPolicy), nil
}

// issuer is who signs the tokens.
func (o options) issuer() (*rig.Issuer, error) {
	if o.key == "" {
		return rig.NewIssuer()
	}
	return rig.KeptIssuer(o.key)
}

// validateRivals says what lacks for rivals to judge the same tokens.
func (o options) validateRivals() error {
	if !slices.Contains([]string{"", printJWKS, printOPA, printRatelimit}, o.print) {
		return fmt.Errorf("-print %s: must be %s, %s or %s", o.print, printJWKS, printOPA, printRatelimit)
	}
	if o.key == "" && (len(o.authz) > 0 || o.print == printJWKS || o.print == printOPA) {
		return errors.New("-key is missing: a rival that judges tokens must know the keys before")
	}
	return nil
}

// startRivals starts the rows of the rivals: each by itself, and each that judges with
// each that counts.
func (b *bench) startRivals() error {
	for _, judge := range b.authz {
		r := &row{what: "JWT, scope and claims by " + judge.Name, beside: judge.PIDs(), identity: true}
		if err := b.startPlain(askedOf(judge.Addr), r); err != nil {
			return err
		}
	}
	for _, counter := range b.ratelimit {
		r := &row{what: "JWT, scope and claims by filters of Envoy, a limit of each user by " + counter.Name, beside: counter.PIDs(), identity: true, counted: true}
		if err := b.startPlain(verifying(b.issuer.JWKS).and(countedBy(counter.Addr)), r); err != nil {
			return err
		}
	}
	for _, judge := range b.authz {
		for _, counter := range b.ratelimit {
			r := &row{what: "JWT, scope and claims by " + judge.Name + ", a limit of each user by " + counter.Name,
				beside: append(judge.PIDs(), counter.PIDs()...), identity: true, counted: true}
			if err := b.startPlain(askedOf(judge.Addr).and(countedBy(counter.Addr)), r); err != nil {
				return err
			}
		}
	}
	return nil
}

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

// askedOf is an Envoy that asks a server of ext_authz.
func askedOf(addr string) plain {
	return plain{clusters: grpcCluster("authz", addr), filters: `
          - name: envoy.filters.http.ext_authz
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
              transport_api_version: V3
              grpc_service: {envoy_grpc: {cluster_name: authz}, timeout: 1s}
`}
}

// verifying is an Envoy that verifies tokens itself, with a cache of them, looks for
// the scope and forwards the claims, as others compile such a policy: what the headers
// of a token say is looked at less than Gatewright does.
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

// countedBy is an Envoy that has an envoyproxy/ratelimit count the requests of each
// user, whom a filter before has put into a header.
func countedBy(addr string) plain {
	return plain{
		clusters: grpcCluster("ratelimit", addr),
		limits:   fmt.Sprintf("rate_limits: [{actions: [{request_headers: {header_name: %s, descriptor_key: user}}]}]", userHeader),
		filters: `
          - name: envoy.filters.http.ratelimit
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit
              domain: bench
              failure_mode_deny: true
              timeout: 1s
              rate_limit_service:
                transport_api_version: V3
                grpc_service: {envoy_grpc: {cluster_name: ratelimit}}
`,
	}
}
