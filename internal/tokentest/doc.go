// Package tokentest makes tokens of an issuer, good ones and such as must be refused, for
// the tests of whoever judges them: those of authz, and those that ask authz and Envoy
// about the same tokens.
package tokentest
