package test

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// requestsTo generates requests to the generated routes: mostly plain ones with a token
// that is for the route, beside all that a client may do to be taken for somebody else. Half
// of them go by the first of some ways.
func requestsTo(routes []object, key apiKey, ways int) *rapid.Generator[wireRequest] {
	return rapid.Custom(func(t *rapid.T) wireRequest {
		at := uniform(len(routes)).Draw(t, "route")
		r := wireRequest{
			method: chosen(t, "method", []string{"GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "POST", "POST", "DELETE", "DELETE", "PUT", "PATCH", "HEAD", "HEAD", "OPTIONS", "TRACE", "FOO"}),
			target: generatedTarget(t, at, len(routes)),
		}
		if rapid.Bool().Draw(t, "another way") {
			r.by = uniform(ways).Draw(t, "way")
		}
		r.headers = append([]header{{"Host", chosen(t, "host", askedHostNames)}}, generatedCredentials(t, issuerFor(t, routes[at]), key)...)
		for range chosen(t, "more headers", []int{0, 0, 0, 0, 0, 1, 2, 3}) {
			r.headers = append(r.headers, chosen(t, "spoofed", spoofed))
		}
		if r.method == "POST" || r.method == "PUT" || r.method == "PATCH" {
			r.headers = append(r.headers, header{"Content-Length", "0"})
		}
		return r
	})
}

// askedHostNames are what a client may call the gateway: most are the name of a host that
// some routes are for.
var askedHostNames = []string{
	"api.example.com", "api.example.com", "api.example.com", "api.example.com", "api.example.com", "api.example.com", "api.example.com:8443", "API.Example.com", "a.example.com", "A.b.example.com", "example.com", "nobody.example", "127.0.0.1",
}

// spoofed are headers by which a client would be somebody, or steer the gateway.
var spoofed = []header{
	{"X-User-ID", "root"}, {"x-user-id", "alice"}, {"X-User-Role", "admin"}, {"X-Tenant-ID", "other"}, {"X-Account", "root"}, {"X-Level", "9"}, {"X-Extra", "x"}, {"X-Dotted", "v"}, {"X-Key-ID", "k1"},
	{"X-Active", "true"}, {"X-Gatewright-Path", "/r0/1/"}, {"X-Gatewright-Scope", "public"}, {"X-Gatewright-Key-User", "root"}, {"x-gatewright-key-tenant", "other"}, {"X-Gatewright-User", "root"},
	{"X-Gatewright-Place", "allowed"}, {"X-Trace-ID", "forged"}, {"X-Envoy-Original-Path", "/r0/1"}, {"X-Envoy-External-Address", "10.0.0.1"}, {"X-Forwarded-For", "10.0.0.1"}, {"X-Envoy-Internal", "true"},
	{"Connection", "x-user-id"}, {"Connection", "authorization"}, {"Connection", "x-gatewright-key-user"}, {"X-Debug", "1"}, {"Proxy-Authorization", "Bearer x"}, {"x_user_id", "root"}, {"Cookie", "a=b"},
	{"Upgrade", "h2c"}, {"Expect", "x"},
}

func generatedTarget(t *rapid.T, at, n int) string {
	route := fmt.Sprintf("/r%d/", at)
	if uniform(12).Draw(t, "odd path") > 0 {
		return route + "1"
	}
	other := fmt.Sprintf("r%d/1", uniform(n).Draw(t, "other"))
	return strings.NewReplacer("ROUTE", route, "OTHER", other).Replace(chosen(t, "path", []string{
		"ROUTE", "ROUTE1/", "ROUTE1?x=1", "ROUTE1?access_token=x", "ROUTE../OTHER", "ROUTE%2e%2e/OTHER", "ROUTE.%2e/OTHER", "ROUTE..%2fOTHER", "ROUTE..%5cOTHER", `ROUTE..\OTHER`, "ROUTE/../OTHER", "ROUTE..;/OTHER",
		"ROUTE%2e%2e;/OTHER", "ROUTE;a=b/1", "ROUTE1;a=b", "/ROUTE1", "//OTHER", "/./OTHER", "ROUTE./1", "ROUTE%00", "ROUTE%31", "/%72%30/1", "/R0/1", "/r0", "/r0x/1", "/nowhere", "http://h/OTHER", "*", "ROUTE%c0%af", "ROUTE\xff",
		"ROUTE1#x", "ROUTE1?a=/../OTHER", "ROUTE%252e%252e/OTHER", "ROUTE%7e", "ROUTE%2F1",
	}))
}

func generatedCredentials(t *rapid.T, by issuer, key apiKey) []header {
	var all []header
	switch uniform(20).Draw(t, "API key") {
	case 0, 1:
		all = append(all, key.header())
	case 2:
		all = append(all, header{"X-API-Key", "gw_unknown"})
	case 3:
		all = append(all, chosen(t, "API key", []header{{"X-API-Key", ""}, {"X-API-Key", key.Key + "," + key.Key}, {"x-api-key", key.Key + "x"}, {"X-API-Key", "\xff"}}))
	}
	if uniform(20).Draw(t, "without a token") == 0 {
		return all
	}
	token := generatedToken(t, by)
	if uniform(12).Draw(t, "odd spelling") > 0 {
		return append(all, bearer(token))
	}
	lines := chosen(t, "spelling", [][]header{
		{{"authorization", "bearer TOKEN"}}, {{"AUTHORIZATION", "BEARER TOKEN"}}, {{"Authorization", "Bearer  TOKEN"}}, {{"Authorization", "\tBearer TOKEN\t"}}, {{"Authorization", "Bearer\tTOKEN"}}, {{"Authorization", "BearerTOKEN"}},
		{{"Authorization", "xBearer TOKEN"}}, {{"Authorization", "Bearer Bearer TOKEN"}}, {{"Authorization", "TOKEN"}}, {{"Authorization", "Basic TOKEN"}}, {{"Authorization", "Basic YTpi, Bearer TOKEN"}}, {{"Authorization", "Bearer TOKEN, Bearer TOKEN"}},
		{{"Authorization", "Bearer TOKEN,"}}, {{"Authorization", "Bearer TOKEN x"}}, {{"Authorization", "Bearer TOKEN;x"}}, {{"Authorization", `Bearer "TOKEN"`}}, {{"Authorization", "Bearer .TOKEN"}}, {{"Authorization", "Bearer"}}, {{"Authorization", ""}},
		{{"Authorization", "Bearer TOKEN"}, {"Authorization", "Bearer TOKEN"}}, {{"Authorization", "Basic YTpi"}, {"Authorization", "Bearer TOKEN"}}, {{"Authorization", "Bearer TOKEN"}, {"Authorization", "Basic YTpi"}},
		{{"Authorization", ""}, {"Authorization", "Bearer TOKEN"}}, {{"Authorization", "Bearer TOKEN"}, {"Authorization", ""}}, {{"Proxy-Authorization", "Bearer TOKEN"}}, {{"Cookie", "access_token=TOKEN"}}, {{"X-Forwarded-Authorization", "Bearer TOKEN"}},
		{{"Authorization", "Basic YTpi"}}, {{"Authorization", "Bearer \xc2\xa0TOKEN"}},
	})
	for _, h := range lines {
		all = append(all, header{h.name, strings.ReplaceAll(h.value, "TOKEN", token)})
	}
	return all
}

// uniform are the numbers below n, each as likely as any other: rapid's own prefer small
// ones.
func uniform(n int) *rapid.Generator[int] {
	return rapid.Custom(func(t *rapid.T) int {
		number := 0
		for range 16 {
			number <<= 1
			if rapid.Bool().Draw(t, "bit") {
				number++
			}
		}
		return number % n
	})
}

// chosen is one of some, each as likely as any other.
func chosen[T any](t *rapid.T, what string, some []T) T {
	return some[uniform(len(some)).Draw(t, what)]
}
