package config

// AllowedMethods are the methods that pages of other origins may use on a
// route with a CORS policy.
func (r *Route) AllowedMethods() []string {
	switch {
	case len(r.CORS.Methods) > 0:
		return r.CORS.Methods
	case len(r.Match.Methods) > 0:
		return r.Match.Methods
	}
	return methods
}
