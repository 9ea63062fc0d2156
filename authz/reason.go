package authz

// Reason says why a request was judged as it was. It is stable: clients,
// dashboards and tests may rely on the words. It stands in the problem
// document, in the access log and in gatewright_verdicts_total.
type Reason string

// ReasonAllowed is the only reason that lets a request pass.
const ReasonAllowed Reason = "allowed"

// The request cannot be judged, since two readers of it could disagree (400).
const (
	// ReasonDuplicateCredential: a credential that the route reads is there twice.
	ReasonDuplicateCredential Reason = "duplicate-credential"
	// ReasonDuplicateHeader: a header that a limit counts by is there twice.
	ReasonDuplicateHeader Reason = "duplicate-header"
	// ReasonMalformedHeader: a header that a limit counts by is not UTF-8.
	ReasonMalformedHeader Reason = "malformed-header"
	// ReasonMalformedQuery: the name of the API key's query parameter is
	// spelled with escapes, so Envoy would not take it out.
	ReasonMalformedQuery Reason = "malformed-query"
	// ReasonPathRefused: the path is not in its normal form, and its Envoy does
	// not see to that: what is judged would be another path than what the
	// backend gets.
	ReasonPathRefused Reason = "path-refused"
	// ReasonHostRefused: the host is none, or more than one, or more than a host:
	// two readers could take another one each.
	ReasonHostRefused Reason = "host-refused"
)

// ReasonRequestInvalid: the request is not as the API's OpenAPI document says (400).
const ReasonRequestInvalid Reason = "request-invalid"

// ReasonBodyUnknown: the route's requests are held to a document, and its Envoy, which
// is another's, does not send all of the body (503).
const ReasonBodyUnknown Reason = "body-unknown"

// ReasonBodyTooLarge: the route's requests are held to a document, and the body is longer
// than the route takes (413). Envoys that we configure answer most such by themselves.
const ReasonBodyTooLarge Reason = "body-too-large"

// ReasonMethodRefused: the method is one that no backend may see, TRACE or
// CONNECT (405). Envoys that we configure answer so by themselves.
const ReasonMethodRefused Reason = "method-refused"

// ReasonRouteNotFound: no route takes the request (404). Envoys that we
// configure answer so by themselves.
const ReasonRouteNotFound Reason = "route-not-found"

// ReasonChallengeAnswered: an ACME authority has got its answer, with 200. No backend has
// seen the request.
const ReasonChallengeAnswered Reason = "challenge-answered"

// The caller is not known (401).
const (
	// ReasonCredentialMissing: none of the credentials that the route takes is there.
	ReasonCredentialMissing Reason = "credential-missing"
	// ReasonTokenMalformed: not a compact JWS in its only spelling (RFC 7515,
	// section 3.1), or too long, or with a header that is not plain JSON.
	ReasonTokenMalformed Reason = "token-malformed"
	// ReasonTokenHeaderNotAllowed: the token's header carries what is never
	// honoured here: crit, b64, an embedded or linked key, a foreign typ.
	ReasonTokenHeaderNotAllowed Reason = "token-header-not-allowed"
	// ReasonTokenAlgNotAllowed: the provider does not list the algorithm.
	ReasonTokenAlgNotAllowed Reason = "token-alg-not-allowed"
	// ReasonTokenKeyUnknown: the issuer has no key, or more than one, that
	// fits the token's kid and alg.
	ReasonTokenKeyUnknown Reason = "token-key-unknown"
	// ReasonTokenSignatureInvalid: the signature is not that key's.
	ReasonTokenSignatureInvalid Reason = "token-signature-invalid"
	// ReasonTokenClaimsInvalid: the claims are not strict JSON, or one that
	// is judged has the wrong type or range.
	ReasonTokenClaimsInvalid Reason = "token-claims-invalid"
	// ReasonTokenIssuerMismatch: iss is not the provider's issuer.
	ReasonTokenIssuerMismatch Reason = "token-issuer-mismatch"
	// ReasonTokenAudienceMismatch: aud names none of the provider's audiences.
	ReasonTokenAudienceMismatch Reason = "token-audience-mismatch"
	// ReasonTokenExpired: exp has passed.
	ReasonTokenExpired Reason = "token-expired"
	// ReasonTokenNotYetValid: nbf or iat is still to come.
	ReasonTokenNotYetValid Reason = "token-not-yet-valid"
	// ReasonTokenRevoked: the token was taken back before it expired.
	ReasonTokenRevoked Reason = "token-revoked"
	// ReasonTokenBindingMismatch: the token is not bound to the client's certificate,
	// and its provider takes only such.
	ReasonTokenBindingMismatch Reason = "token-binding-mismatch"
	// ReasonTokenInactive: the issuer says that the token is not active.
	ReasonTokenInactive Reason = "token-inactive"
	// ReasonAPIKeyInvalid: no such key, or not a key at all.
	ReasonAPIKeyInvalid Reason = "api-key-invalid"
	// ReasonAPIKeyRevoked: the key was taken back.
	ReasonAPIKeyRevoked Reason = "api-key-revoked"
	// ReasonAPIKeyExpired: the key's time is over.
	ReasonAPIKeyExpired Reason = "api-key-expired"
	// ReasonClientCertificateInvalid: Envoy takes the client's certificate, and it
	// cannot be read here without doubt, or is not for clients.
	ReasonClientCertificateInvalid Reason = "client-certificate-invalid"
	// ReasonClientCertificateExpired: it has expired since the connection was made.
	ReasonClientCertificateExpired Reason = "client-certificate-expired"
)

// The caller is known, and may not (403).
const (
	// ReasonScopeMissing: the token lacks a scope.
	ReasonScopeMissing Reason = "scope-missing"
	// ReasonClaimMismatch: a claim has none of the values asked for.
	ReasonClaimMismatch Reason = "claim-mismatch"
	// ReasonRoleMissing: the caller has none of the roles.
	ReasonRoleMissing Reason = "role-missing"
	// ReasonClaimMissing: a claim is not there.
	ReasonClaimMissing Reason = "claim-missing"
	// ReasonRuleDenied: the requirement's rule comes to false.
	ReasonRuleDenied Reason = "rule-denied"
	// ReasonRuleFailed: the rule comes to nothing: it asks for what the caller or
	// the request does not have, or takes too long.
	ReasonRuleFailed Reason = "rule-failed"
	// ReasonPermissionMissing: the key lacks a permission.
	ReasonPermissionMissing Reason = "permission-missing"
	// ReasonClientCertificateNotAccepted: the certificate is good, and not one that
	// the provider takes.
	ReasonClientCertificateNotAccepted Reason = "client-certificate-not-accepted"
	// ReasonIdentityMismatch: credentials that are all asked for are of two
	// users, or of two tenants.
	ReasonIdentityMismatch Reason = "identity-mismatch"
)

// ReasonRateLimited: a limit is used up (429).
const ReasonRateLimited Reason = "rate-limited"

// ReasonCircuitOpen: the breaker of the backend is open (503).
const ReasonCircuitOpen Reason = "circuit-open"

// Gatewright cannot judge now, and so does not let pass (503).
const (
	// ReasonJWKSUnavailable: the issuer's keys have never been loaded.
	ReasonJWKSUnavailable Reason = "jwks-unavailable"
	// ReasonIntrospectionUnavailable: the issuer gives no answer about a token
	// that can be relied on.
	ReasonIntrospectionUnavailable Reason = "introspection-unavailable"
	// ReasonKeyStoreUnavailable: the API key store does not answer.
	ReasonKeyStoreUnavailable Reason = "key-store-unavailable"
	// ReasonRevocationsUnavailable: nobody can tell whether the token was revoked.
	ReasonRevocationsUnavailable Reason = "revocations-unavailable"
	// ReasonLimitStoreUnavailable: a limit's store does not answer, and the
	// limit says onStoreFailure: deny.
	ReasonLimitStoreUnavailable Reason = "limit-store-unavailable"
	// ReasonPolicyUnknown: the route names no policy, or one not known here.
	ReasonPolicyUnknown Reason = "policy-unknown"
	// ReasonDeadlineExceeded: Envoy's timeout ended before the judgement.
	ReasonDeadlineExceeded Reason = "deadline-exceeded"
	// ReasonInternal: a fault of Gatewright's own.
	ReasonInternal Reason = "internal"
)

// problem is what a client is told of a reason.
type problem struct {
	status int
	title  string
	detail string
}

// problems has an entry for each reason that denies. It is never written.
var problems = map[Reason]problem{
	ReasonDuplicateCredential: {400, "Bad Request", "The credential is given more than once."},
	ReasonDuplicateHeader:     {400, "Bad Request", "A header that requests are counted by is given more than once."},
	ReasonMalformedHeader:     {400, "Bad Request", "A header that requests are counted by is not valid UTF-8."},
	ReasonMalformedQuery:      {400, "Bad Request", "The name of the API key's query parameter must not be escaped."},

	ReasonRequestInvalid: {400, "Bad Request", "The request is not as the API's document says."},

	ReasonBodyUnknown: {503, "Service Unavailable", "The gateway does not get all of the body, which it has to judge."},

	ReasonBodyTooLarge: {413, "Content Too Large", "The body of the request is longer than this route takes."},

	ReasonPathRefused: {400, "Bad Request", "The path is not in its normal form."},

	ReasonHostRefused: {400, "Bad Request", "The request does not name one host."},

	ReasonMethodRefused: {405, "Method Not Allowed", "TRACE and CONNECT are not served here."},
	ReasonRouteNotFound: {404, "Not Found", "No route matches this request."},

	// Its answer is in the verdict; one without is a fault.
	ReasonChallengeAnswered: {500, "Internal Server Error", "The gateway failed."},

	ReasonCredentialMissing:     {401, "Unauthorized", "This route needs a credential."},
	ReasonTokenMalformed:        {401, "Unauthorized", "The token is not a well-formed JSON Web Token."},
	ReasonTokenHeaderNotAllowed: {401, "Unauthorized", "The token's header has a member that is not allowed."},
	ReasonTokenAlgNotAllowed:    {401, "Unauthorized", "The token's algorithm is not allowed."},
	ReasonTokenKeyUnknown:       {401, "Unauthorized", "The token's key is not one of its issuer's."},
	ReasonTokenSignatureInvalid: {401, "Unauthorized", "The token's signature does not verify."},
	ReasonTokenClaimsInvalid:    {401, "Unauthorized", "The token's claims are not valid."},
	ReasonTokenIssuerMismatch:   {401, "Unauthorized", "The token is from another issuer."},
	ReasonTokenAudienceMismatch: {401, "Unauthorized", "The token is for another audience."},
	ReasonTokenExpired:          {401, "Unauthorized", "The token has expired."},
	ReasonTokenNotYetValid:      {401, "Unauthorized", "The token is not valid yet."},
	ReasonTokenRevoked:          {401, "Unauthorized", "The token has been revoked."},
	ReasonTokenBindingMismatch:  {401, "Unauthorized", "The token is not bound to the client certificate of this connection."},
	ReasonTokenInactive:         {401, "Unauthorized", "The token is not active."},
	ReasonAPIKeyInvalid:         {401, "Unauthorized", "The API key is not known."},
	ReasonAPIKeyRevoked:         {401, "Unauthorized", "The API key has been revoked."},
	ReasonAPIKeyExpired:         {401, "Unauthorized", "The API key has expired."},

	ReasonClientCertificateInvalid: {401, "Unauthorized", "The client certificate is not valid."},
	ReasonClientCertificateExpired: {401, "Unauthorized", "The client certificate has expired."},

	ReasonClientCertificateNotAccepted: {403, "Forbidden", "The client certificate is not one that this route takes."},

	ReasonScopeMissing:      {403, "Forbidden", "The token lacks a scope that this route needs."},
	ReasonClaimMismatch:     {403, "Forbidden", "A claim of the token has none of the values that this route needs."},
	ReasonRoleMissing:       {403, "Forbidden", "The caller has none of the roles that this route needs."},
	ReasonClaimMissing:      {403, "Forbidden", "The token lacks a claim that this route needs."},
	ReasonRuleDenied:        {403, "Forbidden", "The rule of this route does not allow this request."},
	ReasonRuleFailed:        {403, "Forbidden", "The rule of this route cannot be applied to this request."},
	ReasonPermissionMissing: {403, "Forbidden", "The API key lacks a permission that this route needs."},
	ReasonIdentityMismatch:  {403, "Forbidden", "The credentials are not of one and the same caller."},

	ReasonRateLimited: {429, "Too Many Requests", "The rate limit is used up."},

	ReasonCircuitOpen: {503, "Service Unavailable", "The service behind this route fails, and is not asked for the time being."},

	ReasonJWKSUnavailable:          {503, "Service Unavailable", "The issuer's keys are not available."},
	ReasonIntrospectionUnavailable: {503, "Service Unavailable", "The token's issuer is not available."},
	ReasonKeyStoreUnavailable:      {503, "Service Unavailable", "The API key store is not available."},
	ReasonRevocationsUnavailable:   {503, "Service Unavailable", "The gateway does not know yet which tokens have been revoked."},
	ReasonLimitStoreUnavailable:    {503, "Service Unavailable", "The rate limit store is not available."},
	ReasonPolicyUnknown:            {503, "Service Unavailable", "The gateway does not know this route's policy."},
	ReasonDeadlineExceeded:         {503, "Service Unavailable", "The gateway ran out of time."},
	ReasonInternal:                 {503, "Service Unavailable", "The gateway failed."},
}

// problemOf returns what to tell of a reason. One that is not in the table,
// the empty one above all, is a fault of the program: a 500.
func problemOf(r Reason) (Reason, problem) {
	if p, ok := problems[r]; ok {
		return r, p
	}
	return ReasonInternal, problem{500, "Internal Server Error", "The gateway failed."}
}

// Status is the HTTP status that goes with a reason; 200 with ReasonAllowed.
func (r Reason) Status() int {
	if r == ReasonAllowed {
		return 200
	}
	_, p := problemOf(r)
	return p.status
}

// Meaning is what clients are told of a reason that denies.
func (r Reason) Meaning() string {
	_, p := problemOf(r)
	return p.detail
}

// refusal is a denial on its way to the Verdict. A nil refusal means that what
// was asked holds, as with errors.
type refusal struct {
	reason Reason
	// detail replaces the problem's own where it is not empty. It may name
	// what the config asks for, never what the request held.
	detail string
	// cause is what broke, for our own log. Nil where the request is at fault.
	cause error
}

func refuse(r Reason) *refusal { return &refusal{reason: r} }

func refuseWith(r Reason, detail string) *refusal { return &refusal{reason: r, detail: detail} }

func refuseFor(r Reason, cause error) *refusal { return &refusal{reason: r, cause: cause} }
