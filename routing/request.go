package routing

import "strings"

// Request is what routes look at.
type Request struct {
	// Host is the :authority. A Table ignores the case of its letters.
	Host string
	// Method is the HTTP method, in capitals.
	Method string
	// Path is the :path, with the query.
	Path string
	// Header is the value of a header, by its name in lower case, and whether
	// it is there. The values of a repeated header are joined by a comma
	// without a space. Nil is a request without headers.
	Header func(name string) (value string, ok bool)
}

func (r *Request) header(name string) (string, bool) {
	if r.Header == nil {
		return "", false
	}
	return r.Header(name)
}

// parameter is the first value of a query parameter. As in Envoy nothing is
// decoded, neither names nor values: q=%31 is not q=1. A parameter without =
// is an empty one.
func parameter(query, name string) (value string, ok bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		key, value, _ := strings.Cut(pair, "=")
		if key == name {
			return value, true
		}
	}
	return "", false
}
