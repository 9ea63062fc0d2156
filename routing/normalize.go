package routing

import "fmt"

// Refusal is a request that our listeners refuse with a 400 before any route
// looks at it.
type Refusal struct {
	// Path is what was asked for, without its query.
	Path string
	// Rule is what the path must be.
	Rule string
}

func (r *Refusal) Error() string { return fmt.Sprintf("path %q: %s", r.Path, r.Rule) }

// Normalize is the request as our listeners hand it to the routes: the host in
// lower case and without its port, the path by normalizedPath. The error is a
// *Refusal.
func Normalize(raw Request) (Request, error) {
	path, rule := normalizedPath(raw.Path)
	if rule != "" {
		return Request{}, refusal(raw, rule)
	}
	raw.Host, raw.Path = normalHost(raw.Host), path
	return raw, nil
}

// NormalizeStrictly is Normalize for requests of an Envoy that may not have
// normalized them: a path that is not normal is refused, too. What was judged
// would be one path, and what the backend gets another.
func NormalizeStrictly(raw Request) (Request, error) {
	r, err := Normalize(raw)
	if err == nil && r.Path != raw.Path {
		return Request{}, refusal(raw, "must be in its normal form, which is "+withoutQuery(r.Path))
	}
	return r, err
}

func refusal(raw Request, rule string) *Refusal {
	return &Refusal{Path: withoutQuery(raw.Path), Rule: rule}
}
