// Package acme obtains the certificates of listeners from an authority by ACME
// (RFC 8555), and renews them.
//
// A certificate is one of each domain, so that a name that cannot be proved holds
// up no other. What has been obtained is kept in a folder, which several gateways
// may share: one of them obtains (a lock), and all of them answer the authority,
// which asks whichever it reaches (challenges are in the folder, too).
//
// What is served is never nothing: until a domain has its certificate, it has a
// stand-in that is signed by itself, since a listener that lacks one of its
// certificates serves none of them.
package acme
