package test

// setAddRemove are the header changes that several tests have beside something
// else; so are what is sent to them, and what must come of it.
const (
	setAddRemove   = `request: {set: {X-Header-Set: set-overwrites-values}, add: {X-Header-Add: header-val-1, X-Header-Add-Append: header-val-2}, remove: [X-Header-Remove]}`
	sentToBeSet    = "X-Header-Remove: remove-val | X-Header-Add-Append: append-val-1 | X-Header-Set: set-val"
	setAndAdded    = "X-Header-Set: set-overwrites-values | X-Header-Add: header-val-1 | X-Header-Add-Append: append-val-1,header-val-2 | !X-Header-Remove"
	answerModified = `response: {set: {X-Header-Set-1: header-set-1, X-Header-Set-2: header-set-2}, add: {X-Header-Add-1: header-add-1, X-Header-Add-2: header-add-2, X-Header-Add-3: header-add-3}, remove: [X-Header-Remove-1, X-Header-Remove-2]}`
	answerSent     = "X-Answer: X-Header-Set-2: set-val-2; X-Header-Add-2: add-val-2; X-Header-Remove-2: remove-val-2; Another-Header: another-header-val; X-Header-Remove-1: val"
	answerSeen     = ">X-Header-Set-1: header-set-1 | >X-Header-Set-2: header-set-2 | >X-Header-Add-1: header-add-1 | >X-Header-Add-2: add-val-2,header-add-2 | >X-Header-Add-3: header-add-3 | >Another-Header: another-header-val | >!X-Header-Remove-1 | >!X-Header-Remove-2"
)

// filterConformance are the tests of what becomes of a request and its answer on
// the way.
func filterConformance() []conformance {
	return []conformance{
		{"rewrite host", `
  - {name: rh-one, match: {hosts: [rewrite.test], path: /one/**}, auth: public, to: [{backend: v1}], rewrite: {host: one.example.org}}
  - {name: rh-every, match: {hosts: [rewrite.test], path: /**}, auth: public, to: [{backend: v2}], rewrite: {host: example.org}}
  - {name: rh-headers, match: {hosts: [rewrite.test], path: /rewrite-host-and-modify-headers/**}, auth: public, to: [{backend: v2}], rewrite: {host: test.example.org}, ` + setAddRemove + `}
`, []check{
			{"rewrite.test/one", "", "v1", "path=/one | host=one.example.org"},
			{"rewrite.test/two", "", "v2", "path=/two | host=example.org"},
			{"rewrite.test/rewrite-host-and-modify-headers", sentToBeSet, "v2", "host=test.example.org | " + setAndAdded},
		}},

		{"rewrite path", `
  - {name: rp-prefix, match: {hosts: [path.test], path: /prefix/one/**}, auth: public, to: [{backend: v1}], rewrite: {path: /one/**}}
  - {name: rp-strip, match: {hosts: [path.test], path: /strip-prefix/**}, auth: public, to: [{backend: v1}], rewrite: {path: /**}}
  - {name: rp-full, match: {hosts: [path.test], path: /full/one/**}, auth: public, to: [{backend: v1}], rewrite: {path: /one}}
  - {name: rp-full-headers, match: {hosts: [path.test], path: /full/rewrite-path-and-modify-headers/**}, auth: public, to: [{backend: v1}], rewrite: {path: /test}, ` + setAddRemove + `}
  - {name: rp-prefix-headers, match: {hosts: [path.test], path: /prefix/rewrite-path-and-modify-headers/**}, auth: public, to: [{backend: v1}], rewrite: {path: /prefix/**}, ` + setAddRemove + `}
`, []check{
			{"path.test/prefix/one/two", "", "v1", "path=/one/two | host=path.test"},
			{"path.test/prefix/one", "", "v1", "path=/one"},
			{"path.test/strip-prefix/three", "", "v1", "path=/three"},
			{"path.test/strip-prefix", "", "v1", "path=/"},
			{"path.test/strip-prefix/", "", "v1", "path=/"},
			{"path.test/full/one/two", "", "v1", "path=/one"},
			{"path.test/full/one", "", "v1", "path=/one"},
			{"path.test/full/rewrite-path-and-modify-headers/test", sentToBeSet, "v1", "path=/test | " + setAndAdded},
			{"path.test/prefix/rewrite-path-and-modify-headers/one", sentToBeSet, "v1", "path=/prefix/one | " + setAndAdded},
		}},

		{"request header modifier", `
  - {name: rm-set, match: {hosts: [request.test], path: /set/**}, auth: public, to: [{backend: v1}], request: {set: {X-Header-Set: set-overwrites-values}}}
  - {name: rm-add, match: {hosts: [request.test], path: /add/**}, auth: public, to: [{backend: v1}], request: {add: {X-Header-Add: add-appends-values}}}
  - {name: rm-remove, match: {hosts: [request.test], path: /remove/**}, auth: public, to: [{backend: v1}], request: {remove: [X-Header-Remove]}}
  - {name: rm-multiple, match: {hosts: [request.test], path: /multiple/**}, auth: public, to: [{backend: v1}], request: {set: {X-Header-Set-1: header-set-1, X-Header-Set-2: header-set-2}, add: {X-Header-Add-1: header-add-1, X-Header-Add-2: header-add-2, X-Header-Add-3: header-add-3}, remove: [X-Header-Remove-1, X-Header-Remove-2]}}
  - {name: rm-case, match: {hosts: [request.test], path: /case-insensitivity/**}, auth: public, to: [{backend: v1}], request: {set: {X-Header-Set: header-set}, add: {X-Header-Add: header-add}, remove: [X-Header-Remove]}}
`, []check{
			{"request.test/set", "Some-Other-Header: val", "v1", "path=/set | Some-Other-Header: val | X-Header-Set: set-overwrites-values"},
			{"request.test/set", "Some-Other-Header: val | X-Header-Set: some-other-value", "v1", "Some-Other-Header: val | X-Header-Set: set-overwrites-values"},
			{"request.test/add", "Some-Other-Header: val", "v1", "Some-Other-Header: val | X-Header-Add: add-appends-values"},
			{"request.test/add", "Some-Other-Header: val | X-Header-Add: some-other-value", "v1", "X-Header-Add: some-other-value,add-appends-values"},
			{"request.test/remove", "X-Header-Remove: val", "v1", "!X-Header-Remove"},
			{"request.test/multiple", "X-Header-Set-2: set-val-2 | X-Header-Add-2: add-val-2 | X-Header-Remove-2: remove-val-2 | Another-Header: another-header-val", "v1",
				"X-Header-Set-1: header-set-1 | X-Header-Set-2: header-set-2 | X-Header-Add-1: header-add-1 | X-Header-Add-2: add-val-2,header-add-2 | X-Header-Add-3: header-add-3 | Another-Header: another-header-val | !X-Header-Remove-1 | !X-Header-Remove-2"},
			{"request.test/case-insensitivity", "x-header-set: original-val-set | x-header-add: original-val-add | x-header-remove: original-val-remove | Another-Header: another-header-val", "v1",
				"X-Header-Set: header-set | X-Header-Add: original-val-add,header-add | Another-Header: another-header-val | !X-Header-Remove"},
		}},

		{"response header modifier", `
  - {name: sm-set, match: {hosts: [response.test], path: /set/**}, auth: public, to: [{backend: v1}], response: {set: {X-Header-Set: set-overwrites-values}}}
  - {name: sm-add, match: {hosts: [response.test], path: /add/**}, auth: public, to: [{backend: v1}], response: {add: {X-Header-Add: add-appends-values}}}
  - {name: sm-remove, match: {hosts: [response.test], path: /remove/**}, auth: public, to: [{backend: v1}], response: {remove: [X-Header-Remove]}}
  - {name: sm-multiple, match: {hosts: [response.test], path: /multiple/**}, auth: public, to: [{backend: v1}], ` + answerModified + `}
  - {name: sm-case, match: {hosts: [response.test], path: /case-insensitivity/**}, auth: public, to: [{backend: v1}], response: {set: {X-Header-Set: header-set}, add: {X-Header-Add: header-add, x-lowercase-add: lowercase-add, x-Mixedcase-ADD-1: mixedcase-add-1, X-mixeDcase-add-2: mixedcase-add-2, X-UPPERCASE-ADD: uppercase-add}, remove: [X-Header-Remove]}}
  - {name: sm-both, match: {hosts: [response.test], path: /response-and-request-header-modifiers/**}, auth: public, to: [{backend: v1}], ` + setAddRemove + `, ` + answerModified + `}
`, []check{
			{"response.test/set", "X-Answer: Some-Other-Header: val", "v1", ">Some-Other-Header: val | >X-Header-Set: set-overwrites-values"},
			{"response.test/set", "X-Answer: X-Header-Set: some-other-value", "v1", ">X-Header-Set: set-overwrites-values"},
			{"response.test/add", "X-Answer: Some-Other-Header: val", "v1", ">Some-Other-Header: val | >X-Header-Add: add-appends-values"},
			{"response.test/add", "X-Answer: X-Header-Add: some-other-value", "v1", ">X-Header-Add: some-other-value,add-appends-values"},
			{"response.test/remove", "X-Answer: X-Header-Remove: val", "v1", ">!X-Header-Remove"},
			{"response.test/multiple", answerSent, "v1", answerSeen},
			{"response.test/case-insensitivity", "X-Answer: x-header-set: original-val-set; x-header-add: original-val-add; x-header-remove: original-val-remove; Another-Header: another-header-val", "v1",
				">X-Header-Set: header-set | >X-Header-Add: original-val-add,header-add | >X-Lowercase-Add: lowercase-add | >X-Mixedcase-Add-1: mixedcase-add-1 | >X-Mixedcase-Add-2: mixedcase-add-2 | >X-Uppercase-Add: uppercase-add | >Another-Header: another-header-val | >!X-Header-Remove"},
			{"response.test/response-and-request-header-modifiers", sentToBeSet + " | X-Header-Echo: echo | " + answerSent, "v1", setAndAdded + " | X-Header-Echo: echo | " + answerSeen},
		}},
	}
}

// redirectConformance are those of answers that name another place. Ports are
// told where they are not the usual ones of the scheme; there a redirect that
// names none keeps the listener's, here it goes to the usual one, and a usual one is
// left out only where the scheme is said (docs/gateway-api.md).
func redirectConformance() []conformance {
	return []conformance{
		{"303, 307 and 308 redirect", `
  - {name: r-303, match: {hosts: [status.test], path: /see-other/**}, auth: public, redirect: {status: 303, path: /see-other-there}}
  - {name: r-307, match: {hosts: [status.test], path: /temporary/**}, auth: public, redirect: {status: 307, path: /temporary-there}}
  - {name: r-308, match: {hosts: [status.test], path: /permanent/**}, auth: public, redirect: {status: 308, path: /permanent-there}}
`, []check{
			{"POST status.test/see-other", "", "303 http://status.test/see-other-there", ""},
			{"status.test/temporary", "", "307 http://status.test/temporary-there", ""},
			{"POST status.test/temporary", "", "307 http://status.test/temporary-there", ""},
			{"status.test/permanent", "", "308 http://status.test/permanent-there", ""},
		}},

		{"redirect host and status", `
  - {name: rhs-host, match: {hosts: [there.test], path: /hostname-redirect/**}, auth: public, redirect: {host: example.org}}
  - {name: rhs-both, match: {hosts: [there.test], path: /host-and-status/**}, auth: public, redirect: {status: 301, host: example.org}}
`, []check{
			{"there.test/hostname-redirect", "", "302 http://example.org/hostname-redirect", ""},
			{"there.test/hostname-redirect/a?b=c", "", "302 http://example.org/hostname-redirect/a?b=c", ""},
			{"there.test/host-and-status", "", "301 http://example.org/host-and-status", ""},
		}},

		{"redirect path", `
  - {name: rdp-prefix, match: {hosts: [paths.test], path: /original-prefix/**}, auth: public, redirect: {path: /replacement-prefix/**}}
  - {name: rdp-full, match: {hosts: [paths.test], path: /full/**}, auth: public, redirect: {path: /full-path-replacement}}
  - {name: rdp-host, match: {hosts: [paths.test], path: /path-and-host/**}, auth: public, redirect: {host: example.org, path: /replacement-prefix/**}}
  - {name: rdp-status, match: {hosts: [paths.test], path: /path-and-status/**}, auth: public, redirect: {status: 301, path: /replacement-prefix/**}}
  - {name: rdp-full-host, match: {hosts: [paths.test], path: /full-path-and-host/**}, auth: public, redirect: {host: example.org, path: /replacement-full}}
  - {name: rdp-full-status, match: {hosts: [paths.test], path: /full-path-and-status/**}, auth: public, redirect: {status: 301, path: /replacement-full}}
`, []check{
			{"paths.test/original-prefix/lemon", "", "302 http://paths.test/replacement-prefix/lemon", ""},
			{"paths.test/original-prefix", "", "302 http://paths.test/replacement-prefix", ""},
			{"paths.test/full/path/original", "", "302 http://paths.test/full-path-replacement", ""},
			{"paths.test/path-and-host", "", "302 http://example.org/replacement-prefix", ""},
			{"paths.test/path-and-host/lemon", "", "302 http://example.org/replacement-prefix/lemon", ""},
			{"paths.test/path-and-status", "", "301 http://paths.test/replacement-prefix", ""},
			{"paths.test/full-path-and-host", "", "302 http://example.org/replacement-full", ""},
			{"paths.test/full-path-and-status/more", "", "301 http://paths.test/replacement-full", ""},
		}},

		{"redirect scheme", `
  - {name: rs-scheme, match: {hosts: [scheme.test], path: /scheme/**}, auth: public, redirect: {scheme: https}}
  - {name: rs-host, match: {hosts: [scheme.test], path: /scheme-and-host/**}, auth: public, redirect: {scheme: https, host: example.org}}
  - {name: rs-status, match: {hosts: [scheme.test], path: /scheme-and-status/**}, auth: public, redirect: {scheme: https, status: 301}}
  - {name: rs-all, match: {hosts: [scheme.test], path: /scheme-and-host-and-status/**}, auth: public, redirect: {scheme: https, status: 302, host: example.org}}
`, []check{
			{"scheme.test/scheme", "", "302 https://scheme.test/scheme", ""},
			{"scheme.test/scheme-and-host", "", "302 https://example.org/scheme-and-host", ""},
			{"scheme.test/scheme-and-status", "", "301 https://scheme.test/scheme-and-status", ""},
			{"scheme.test/scheme-and-host-and-status", "", "302 https://example.org/scheme-and-host-and-status", ""},
		}},

		{"redirect port", `
  - {name: rt-port, match: {hosts: [port.test], path: /port/**}, auth: public, redirect: {port: 8083}}
  - {name: rt-host, match: {hosts: [port.test], path: /port-and-host/**}, auth: public, redirect: {host: example.org, port: 8083}}
  - {name: rt-status, match: {hosts: [port.test], path: /port-and-status/**}, auth: public, redirect: {port: 8083, status: 301}}
  - {name: rt-all, match: {hosts: [port.test], path: /port-and-host-and-status/**}, auth: public, redirect: {host: example.org, port: 8083, status: 302}}
`, []check{
			{"port.test/port", "", "302 http://port.test:8083/port", ""},
			{"port.test:9999/port", "", "302 http://port.test:8083/port", ""},
			{"port.test/port-and-host", "", "302 http://example.org:8083/port-and-host", ""},
			{"port.test/port-and-status", "", "301 http://port.test:8083/port-and-status", ""},
			{"port.test/port-and-host-and-status", "", "302 http://example.org:8083/port-and-host-and-status", ""},
		}},

		{"redirect port and scheme", `
  - {name: rps-1, match: {hosts: [ps.test], path: /scheme-nil-and-port-nil/**}, auth: public, redirect: {host: example.org}}
  - {name: rps-2, match: {hosts: [ps.test], path: /scheme-nil-and-port-80/**}, auth: public, redirect: {host: example.org, port: 80}}
  - {name: rps-3, match: {hosts: [ps.test], path: /scheme-nil-and-port-8080/**}, auth: public, redirect: {host: example.org, port: 8080}}
  - {name: rps-4, match: {hosts: [ps.test], path: /scheme-https-and-port-nil/**}, auth: public, redirect: {scheme: https, host: example.org}}
  - {name: rps-5, match: {hosts: [ps.test], path: /scheme-https-and-port-443/**}, auth: public, redirect: {scheme: https, host: example.org, port: 443}}
  - {name: rps-6, match: {hosts: [ps.test], path: /scheme-https-and-port-8443/**}, auth: public, redirect: {scheme: https, host: example.org, port: 8443}}
  - {name: rps-7, match: {hosts: [ps.test], path: /scheme-http-and-port-nil/**}, auth: public, redirect: {scheme: http, host: example.org}}
  - {name: rps-8, match: {hosts: [ps.test], path: /scheme-http-and-port-80/**}, auth: public, redirect: {scheme: http, host: example.org, port: 80}}
  - {name: rps-9, match: {hosts: [ps.test], path: /scheme-http-and-port-8080/**}, auth: public, redirect: {scheme: http, host: example.org, port: 8080}}
`, []check{
			{"ps.test/scheme-nil-and-port-nil", "", "302 http://example.org/scheme-nil-and-port-nil", ""},
			{"ps.test/scheme-nil-and-port-80", "", "302 http://example.org:80/scheme-nil-and-port-80", ""},
			{"ps.test/scheme-nil-and-port-8080", "", "302 http://example.org:8080/scheme-nil-and-port-8080", ""},
			{"ps.test/scheme-https-and-port-nil", "", "302 https://example.org/scheme-https-and-port-nil", ""},
			{"ps.test/scheme-https-and-port-443", "", "302 https://example.org/scheme-https-and-port-443", ""},
			{"ps.test/scheme-https-and-port-8443", "", "302 https://example.org:8443/scheme-https-and-port-8443", ""},
			{"ps.test/scheme-http-and-port-nil", "", "302 http://example.org/scheme-http-and-port-nil", ""},
			{"ps.test/scheme-http-and-port-80", "", "302 http://example.org/scheme-http-and-port-80", ""},
			{"ps.test/scheme-http-and-port-8080", "", "302 http://example.org:8080/scheme-http-and-port-8080", ""},
		}},
	}
}
