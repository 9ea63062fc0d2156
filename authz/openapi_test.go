package authz

import (
	"os"
	"slices"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/openapi"
)

// validation is one by the document of package openapi's tests.
func validation(t testing.TB) *Validation {
	t.Helper()
	return validationOf(t, func(string, int) ([]byte, error) { return os.ReadFile("../internal/openapi/testdata/orders30.yaml") })
}

// validationOf is of a document that is read so.
func validationOf(t testing.TB, read func(string, int) ([]byte, error)) *Validation {
	t.Helper()
	doc, err := openapi.Load("orders.yaml", read)
	if err != nil {
		t.Fatal(err)
	}
	v, err := openapi.Compile(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &Validation{Document: "orders", Sum: "1", validator: v}
}

// post is a request with a body.
func post(hash, body string, lines ...line) *authv3.CheckRequest {
	m := ask(hash, "/v1/orders", append(lines, line{"content-type", "application/json"})...)
	http := m.GetAttributes().GetRequest().GetHttp()
	http.Method, http.RawBody = "POST", []byte(body)
	return m
}

// TestValidationComesLast: who is not known has no body judged, nor has who is
// limited; and what is refused has been charged, is not in flight, and is no probe.
func TestValidationComesLast(t *testing.T) {
	g := newGate(t, keySetsFor(t, mainJWT()), nil)
	g.limiter.answer = LimitResult{Allowed: true, Handles: []string{"s.1"}}
	hash := g.publish(&Policy{AnyOf: []Requirement{{JWT: mainJWT()}}, Limits: []*config.Limit{flights()}, Validation: validation(t)})
	token := line{"authorization", "Bearer " + rsaSigner().sign(rsaSigner().header(), payloadOf(nil))}
	if r := g.check(t, post(hash, `{"sku": "SECRET"}`)); reasonOf(r) != ReasonCredentialMissing {
		t.Errorf("not known: %s", reasonOf(r))
	}
	if r := g.check(t, post(hash, `{"sku": "a-1"}`, token)); !allows(r) || len(g.limiter.released) > 0 {
		t.Errorf("valid: %s, released %v", reasonOf(r), g.limiter.released)
	}
	r := g.check(t, post(hash, `{"sku": "SECRET"}`, token))
	if reasonOf(r) != ReasonRequestInvalid || statusOf(r) != 400 || !slices.Equal(g.limiter.released, []string{"s.1"}) {
		t.Errorf("invalid: %s, released %v", reasonOf(r), g.limiter.released)
	}
	if body := r.GetDeniedResponse().GetBody(); !strings.Contains(body, "/sku") || strings.Contains(r.String(), "SECRET") || strings.Contains(r.String(), "s.1") {
		t.Errorf("told: %s", r)
	}
	g.limiter.answer = LimitResult{Limit: "flights"}
	if r := g.check(t, post(hash, `{"sku": "SECRET"}`, token)); reasonOf(r) != ReasonRateLimited {
		t.Errorf("limited: %s", reasonOf(r))
	}
}

// TestInvalidProbeIsGivenBack: a request that goes to no backend is no probe of it.
func TestInvalidProbeIsGivenBack(t *testing.T) {
	breaker := &fakeBreaker{answer: Admission{Probe: "p"}}
	g := newGate(t, nil, func(o *Options) { o.Breaker = breaker })
	hash := g.publish(&Policy{Breakers: []BackendBreaker{{Backend: "b"}}, OnlyBackend: "b", Validation: validation(t)})
	m := post(hash, `{"sku": 7}`)
	m.Attributes.ContextExtensions["backend"] = "b"
	if r := g.check(t, m); reasonOf(r) != ReasonRequestInvalid || !slices.Equal(breaker.canceled, []string{"p"}) {
		t.Errorf("%s, canceled %v", reasonOf(r), breaker.canceled)
	}
}

// TestValidationInShadow refuses nothing, and tells.
func TestValidationInShadow(t *testing.T) {
	g := newGate(t, nil, nil)
	v := validation(t)
	v.Shadow = true
	hash := g.publish(&Policy{Validation: v})
	r := g.check(t, post(hash, `{"sku": 7}`))
	if !allows(r) || r.GetDynamicMetadata().GetFields()["shadow"].GetStringValue() != string(ReasonRequestInvalid) {
		t.Errorf("%v", r)
	}
}

// TestForeignEnvoysMustSendTheBody: where it is not there as a whole, and there may be
// one, nothing passes unseen, in shadow as well.
func TestForeignEnvoysMustSendTheBody(t *testing.T) {
	for _, shadow := range []bool{false, true} {
		v := validation(t)
		v.Shadow = shadow
		policy := &Policy{Validation: v}
		router := &fakeRouter{answer: Routed{Route: "orders", Policy: policy, Hash: policy.Hash()}}
		g := newGate(t, nil, func(o *Options) { o.Router = router })
		for _, c := range []struct {
			body   string
			lines  []line
			reason Reason
		}{
			{`{"sku": "a-1"}`, nil, ReasonAllowed},
			{`{"sku": "a-1"}`, []line{{"content-length", "14"}, {"x-envoy-auth-partial-body", "false"}}, ReasonAllowed},
			{`{"sku": "a-1"}`, []line{{"content-length", "15"}}, ReasonBodyUnknown},
			{`{"sku": "a-1"}`, []line{{"x-envoy-auth-partial-body", "false"}, {"x-envoy-auth-partial-body", "true"}}, ReasonBodyUnknown},
			{`{"sku": "a-1"}`, []line{{"x-envoy-auth-partial-body", "true"}}, ReasonBodyUnknown},
			{"", nil, ReasonBodyUnknown},
			{"", []line{{"content-length", "14"}}, ReasonBodyUnknown},
			{"", []line{{"transfer-encoding", "chunked"}}, ReasonBodyUnknown},
		} {
			if r := g.check(t, unrouted(post("", c.body, c.lines...))); reasonOf(r) != c.reason {
				t.Errorf("shadow %t, %q %v: %s, want %s", shadow, c.body, c.lines, reasonOf(r), c.reason)
			}
		}
		get := unrouted(ask("", "/v1/orders/7"))
		if r := g.check(t, get); !allows(r) {
			t.Errorf("a GET without a body: %s", reasonOf(r))
		}
	}
}

// TestCutBodiesAreRefused: our own Envoys cut a body that comes at once and is too long, and
// say so. In shadow it is refused as well: so are those that Envoy itself finds too long.
func TestCutBodiesAreRefused(t *testing.T) {
	for _, shadow := range []bool{false, true} {
		v := validation(t)
		v.Shadow = shadow
		g := newGate(t, nil, nil)
		hash := g.publish(&Policy{Validation: v})
		const body = `{"sku": "a-1"}`
		for _, c := range []struct {
			lines  []line
			reason Reason
		}{
			{nil, ReasonAllowed},
			{[]line{{"x-envoy-auth-partial-body", "false"}, {"content-length", "14"}}, ReasonAllowed},
			{[]line{{"x-envoy-auth-partial-body", "true"}}, ReasonBodyTooLarge},
			{[]line{{"X-Envoy-Auth-Partial-Body", "false"}, {"x-envoy-auth-partial-body", "true"}}, ReasonBodyTooLarge},
			{[]line{{"content-length", "15"}}, ReasonBodyTooLarge},
		} {
			if r := g.check(t, post(hash, body, c.lines...)); reasonOf(r) != c.reason {
				t.Errorf("shadow %t, %v: %s, want %s", shadow, c.lines, reasonOf(r), c.reason)
			}
		}
	}
}

const withBodies = `
openapi: 3.0.3
info: {title: Orders, version: "1"}
paths:
  /orders:
    delete:
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {"200": {description: ok}}
    post:
      responses: {"200": {description: ok}}
    patch:
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {"200": {description: ok}}
  /orders/7:
    get: {responses: {"200": {description: ok}}}
    delete: {responses: {"200": {description: ok}}}
`

// TestForeignEnvoysWithoutAWordOfABody: HTTP/2 may have one that no header tells of, and
// clients tell of none where they send none. It is the document that says whether it counts.
func TestForeignEnvoysWithoutAWordOfABody(t *testing.T) {
	policy := &Policy{Validation: validationOf(t, func(string, int) ([]byte, error) { return []byte(withBodies), nil })}
	router := &fakeRouter{answer: Routed{Route: "orders", Policy: policy, Hash: policy.Hash()}}
	g := newGate(t, nil, func(o *Options) { o.Router = router })
	for _, c := range []struct {
		method, path, text string
		lines              []line
		reason             Reason
	}{
		{"GET", "/orders/7", "", nil, ReasonAllowed},
		{"GET", "/orders/7?a=1", "", []line{{"content-length", "0"}}, ReasonAllowed},
		{"GET", "/orders/7", "", []line{{"content-length", "0"}, {"content-length", "0"}}, ReasonBodyUnknown},
		{"GET", "/orders/7", "", []line{{"content-length", "3"}}, ReasonBodyUnknown},
		{"GET", "/orders/7", "", []line{{"transfer-encoding", "chunked"}}, ReasonBodyUnknown},
		{"DELETE", "/orders/7", "", nil, ReasonAllowed},
		{"DELETE", "/orders/7", "", []line{{"transfer-encoding", "chunked"}}, ReasonBodyUnknown},
		{"DELETE", "/orders", "", nil, ReasonBodyUnknown},
		{"DELETE", "/orders", "", []line{{"content-length", "0"}}, ReasonAllowed},
		{"PATCH", "/orders", "", nil, ReasonBodyUnknown},
		{"PATCH", "/orders", "", []line{{"content-length", "0"}}, ReasonAllowed},
		{"POST", "/orders", "", nil, ReasonBodyUnknown},
		// Of a text, an exclamation mark could have been any byte.
		{"PATCH", "/orders", `{"a": "b"}`, nil, ReasonAllowed},
		{"PATCH", "/orders", `{"a": "b!"}`, nil, ReasonBodyUnknown},
	} {
		m := unrouted(ask("", c.path, append(c.lines, line{"content-type", "application/json"})...))
		m.Attributes.Request.Http.Method, m.Attributes.Request.Http.Body = c.method, c.text
		if r := g.check(t, m); reasonOf(r) != c.reason {
			t.Errorf("%s %s with %q and %v: %s, want %s", c.method, c.path, c.text, c.lines, reasonOf(r), c.reason)
		}
	}
}
