package authz

// PolicySource knows policies by their hash. A request is judged by the policy
// that its route names, however old the route: whoever serves routes keeps a
// policy until no Envoy can name it any more.
type PolicySource interface {
	// Policy returns nil where there is none of that hash; the request is then
	// refused.
	Policy(hash string) *Policy
}
