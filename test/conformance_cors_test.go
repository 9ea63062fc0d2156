package test

// asks are the headers of a preflight.
func asks(origin, method, headers string) string {
	text := "Origin: " + origin + " | Access-Control-Request-Method: " + method
	if headers != "" {
		text += " | Access-Control-Request-Headers: " + headers
	}
	return text
}

// corsConformance are the tests of CORS. Credentials for every origin, which one
// of those there has, are refused here: any page could act as its visitor.
func corsConformance() []conformance {
	const (
		granted = ">Access-Control-Allow-Methods: GET,OPTIONS | >Access-Control-Allow-Headers: x-header-1,x-header-2 | " +
			">Access-Control-Max-Age: 3600 | >Access-Control-Allow-Credentials: true"
		nothing = ">!Access-Control-Allow-Origin | >!Access-Control-Allow-Credentials"
	)
	return []conformance{{"cors", `
  - name: c-1
    match: {hosts: [cors.test], path: /cors-1/**}
    auth: public
    to: [{backend: v1}]
    cors: {origins: ["https://www.foo.com", "https://*.bar.com"], methods: [GET, OPTIONS], headers: [x-header-1, x-header-2], exposeHeaders: [x-header-3, x-header-4], credentials: true, maxAge: 1h}
  - {name: c-2, match: {hosts: [cors.test], path: /cors-2/**, methods: [GET, POST, PUT, OPTIONS]}, auth: public, to: [{backend: v1}], cors: {origins: ["https://www.foo.com"]}}
  - {name: c-3, match: {hosts: [cors.test], path: /cors-wildcard-origin/**}, auth: public, to: [{backend: v1}], cors: {origins: ["*"], methods: [PUT]}}
  - {name: c-4, match: {hosts: [cors.test], path: /cors-wildcard-methods-headers/**}, auth: public, to: [{backend: v1}], cors: {origins: ["https://*.foo.com"], methods: [PUT, GET], headers: ["*"], credentials: true}}
  - {name: c-5, match: {hosts: [cors.test], path: /cors-wildcard-methods-headers-unauth/**}, auth: public, to: [{backend: v1}], cors: {origins: ["*"], methods: [PUT, GET], headers: ["*"]}}
`, []check{
		{"OPTIONS cors.test/cors-1", asks("https://www.foo.com", "GET", "x-header-1, x-header-2"), "200", ">Access-Control-Allow-Origin: https://www.foo.com | " + granted},
		{"OPTIONS cors.test/cors-1", asks("https://www.bar.com", "GET", "x-header-1, x-header-2"), "200", ">Access-Control-Allow-Origin: https://www.bar.com | " + granted},
		{"OPTIONS cors.test/cors-1", asks("https://xpto.www.bar.com", "GET", "x-header-1, x-header-2"), "200", ">Access-Control-Allow-Origin: https://xpto.www.bar.com | " + granted},
		{"OPTIONS cors.test/cors-1", asks("https://foobar.com", "GET", ""), "200", ">!Access-Control-Allow-Origin"},
		{"OPTIONS cors.test/cors-1", asks("https://bar.com", "GET", ""), "200", ">!Access-Control-Allow-Origin"},
		{"OPTIONS cors.test/cors-1", asks("http://www.foo.com", "GET", ""), "200", ">!Access-Control-Allow-Origin"},
		{"cors.test/cors-1", asks("https://www.foo.com", "GET", "x-header-1, x-header-2"), "v1", ">Access-Control-Allow-Origin: https://www.foo.com | >Access-Control-Expose-Headers: x-header-3,x-header-4"},
		{"cors.test/cors-1", asks("https://www.bar.com", "GET", "x-header-1, x-header-2"), "v1", ">Access-Control-Allow-Origin: https://www.bar.com"},
		{"cors.test/cors-1", asks("https://foobar.com", "GET", ""), "v1", nothing},
		{"cors.test/cors-1", "", "v1", nothing},
		{"OPTIONS cors.test/cors-2", asks("https://www.foo.com", "POST", ""), "200", ">Access-Control-Allow-Origin: https://www.foo.com | >Access-Control-Allow-Methods: GET,POST,PUT,OPTIONS | >!Access-Control-Allow-Credentials"},
		{"OPTIONS cors.test/cors-wildcard-origin", asks("https://foobar.com", "PUT", ""), "200", ">Access-Control-Allow-Origin: https://foobar.com | >Access-Control-Allow-Methods: PUT | >!Access-Control-Allow-Credentials"},
		{"OPTIONS cors.test/cors-wildcard-origin", asks("https://foobar.com:12345", "PUT", ""), "200", ">Access-Control-Allow-Origin: https://foobar.com:12345 | >Access-Control-Allow-Methods: PUT | >!Access-Control-Allow-Credentials"},
		{"PUT cors.test/cors-wildcard-origin", "Origin: https://foobar.com:12345", "v1", ">Access-Control-Allow-Origin: https://foobar.com:12345"},
		{"PUT cors.test/cors-wildcard-origin", "Origin: https://foobar.com", "v1", ">Access-Control-Allow-Origin: https://foobar.com | >!Access-Control-Allow-Credentials"},
		{"OPTIONS cors.test/cors-wildcard-methods-headers", asks("https://other.foo.com", "PUT", "x-header-1, x-header-2"), "200", ">Access-Control-Allow-Origin: https://other.foo.com | >Access-Control-Allow-Methods: PUT,GET | >Access-Control-Allow-Credentials: true"},
		{"OPTIONS cors.test/cors-wildcard-methods-headers-unauth", asks("https://other.foo.com", "PUT", "x-header-1, x-header-2"), "200", ">Access-Control-Allow-Methods: PUT,GET | >!Access-Control-Allow-Credentials"},
		{"cors.test/cors-wildcard-methods-headers", "Origin: https://other.foo.com", "v1", ">Access-Control-Allow-Origin: https://other.foo.com | >Access-Control-Allow-Credentials: true"},
		{"cors.test/cors-wildcard-methods-headers-unauth", "Origin: https://other.foo.com", "v1", ">!Access-Control-Allow-Credentials"},
	}}}
}
