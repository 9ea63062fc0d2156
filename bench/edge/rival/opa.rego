package envoy.authz

import input.attributes.request.http

# The keys are those of the bench.
constraints := {"cert": `JWKS`, "alg": "RS256", "iss": "ISSUER", "aud": "api"}

claims := payload if {
	startswith(http.headers.authorization, "Bearer ")
	[true, _, payload] = io.jwt.decode_verify(substring(http.headers.authorization, 7, -1), constraints)
}

default allow := {"allowed": false, "http_status": 401}

allow := {
	"allowed": true,
	"headers": {"x-user-id": claims.sub, "x-user-role": claims.role, "x-tenant-id": claims.tenant},
	"request_headers_to_remove": ["authorization"],
} if "users:read" in split(claims.scope, " ")

allow := {"allowed": false, "http_status": 403} if {
	claims
	not "users:read" in split(claims.scope, " ")
}
