// Package authz is the judge: Envoy's external authorization API
// (envoy.service.auth.v3) in front of policies that are plain data.
//
// Envoy asks Check once a request and names the route, the picked backend and
// the hash of the route's policy. Check reads the credential, finds out who
// the caller is, charges the limits and answers with one Verdict. Whatever
// goes wrong on the way is a denial: an unknown policy, a panic, a store that
// does not answer. The zero Verdict denies, and only reply turns a Verdict
// into a message, because an empty CheckResponse would allow.
//
// A JSON Web Token passes three gates, in this order: its form (token.go), its
// signature, by crypto alone, under one key of the issuer (verify.go), and its claims,
// decoded strictly (json.go, claims.go). Keys come from the issuer's JWKS,
// which is loaded in the background and filtered on the way in (jwks.go,
// jwk.go). API keys, limits and the form of a client's address belong to other
// packages; authz declares what it needs of them (KeyFinder, Limiter).
package authz
