package test

import "testing"

const selfIssuedByHost = `
listeners:
  - {name: plain, address: "{{listen "plain"}}"}
  - name: by-http
    address: "{{listen "by-http"}}"
    tls:
      acme:
        domains: [www.example.com, fresh.example.com]
        agreeTermsOfService: true
        email: ops@example.com
        directory: "{{.directory}}"
        ca: {{.ca}}
        challenge: http-01
        externalAccountBinding: {keyID: kid-1, keyEnv: BINDING_KEY}
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
  apiKey: {partners: {from: {header: X-API-Key}}}
routes:
  - {name: moved, match: {hosts: [www.example.com], methods: [GET], path: /**}, auth: public, redirect: {scheme: https}}
  - {name: h0, match: {hosts: [h0.fill.org], path: /**}, auth: {anyOf: [{apiKey: partners}]}, to: [{backend: app}]}
`

// TestACMEHostByHost: where a config is so large that it is served host by host, an
// authority is answered by HTTP on each host, on those that no route names too, and before
// what the host's own routes say.
func TestACMEHostByHost(t *testing.T) {
	t.Parallel()
	p := newPEMs(t)
	p.server("first", "files.example.com")
	config := selfIssuedByHost + manyRoutes(100, 10)
	g := prepared(t, setup{config: config, env: []string{"BINDING_KEY=" + bindingKey},
		values: map[string]string{"app": backend(t, "app").Addr(), "directory": "https://unset.example/", "ca": p.path("first.crt")}})
	a := pebble{asksHTTP: g.listeners["plain"], asksTLS: g.listeners["by-http"], bindings: map[string]string{"kid-1": bindingKey}}.start(t)
	g.values["directory"], g.values["ca"] = a.directory, a.caFile
	g.write(config)
	g.begin()
	for _, name := range []string{"www.example.com", "fresh.example.com"} {
		if leaf := a.obtained(g, "by-http", name); len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != name {
			t.Errorf("%s has a certificate for %v", name, leaf.DNSNames)
		}
	}
	for _, host := range []string{"www.example.com", "fresh.example.com", "h0.fill.org", "H99.fill.org"} {
		get(t, g.url("plain", "/.well-known/acme-challenge/"+host), header{"Host", host}).denied(t, 404, "route-not-found")
		if line := g.logged("/.well-known/acme-challenge/" + host); line["route"] != "gatewright.challenge" {
			t.Errorf("%s: it is logged as %v", host, line["route"])
		}
	}
	get(t, g.url("plain", "/any"), header{"Host", "h0.fill.org"}).denied(t, 401, "credential-missing")
}
