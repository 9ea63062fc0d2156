package openapi

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

func validator(t testing.TB, file string) *Validator {
	t.Helper()
	doc, err := Load(file, func(path string, _ int) ([]byte, error) { return os.ReadFile(path) })
	if err != nil {
		t.Fatal(err)
	}
	v, err := Compile(doc)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// request is "METHOD PATH", with headers and a body.
func request(line, body string, headers ...string) *Request {
	method, path, _ := strings.Cut(line, " ")
	r := &Request{Method: method, Path: path, Header: http.Header{}, Body: []byte(body)}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	return r
}

// TestValidate: what each part of a request breaks, and where; on 3.0 and 3.1.
func TestValidate(t *testing.T) {
	for _, file := range []string{"testdata/orders30.yaml", "testdata/orders31.yaml"} {
		v := validator(t, file)
		for _, c := range []struct {
			r    *Request
			want string
		}{
			{request("GET /v1/orders/7", ""), ""},
			{request("GET /v1/orders/mine", ""), ""},
			{request("GET /v1/orders/seven", ""), "the path parameter id must be of the type that the document has"},
			{request("GET /v1/orders/0", ""), "the path parameter id must be at least 1"},
			{request("GET /v1/orders/7/receipt.pdf", ""), ""},
			{request("PUT /v1/orders/7", ""), "the path has no operation by PUT in the document"},
			{request("GET /v1/nothing", ""), "the path is none of the document's"},
			{request("GET /orders/7", ""), "the path is none of the document's"},
			{request("GET /v1/orders?state=open&limit=5", "", "X-Shop: a"), ""},
			{request("GET /v1/orders?limit=5", "", "X-Shop: a"), "the query parameter state is required"},
			{request("GET /v1/orders?state=SECRET", "", "X-Shop: a"), "the query parameter state must be one of the values that the document has"},
			{request("GET /v1/orders?state=open&limit=500", "", "X-Shop: a"), "the query parameter limit must be at most 100"},
			{request("GET /v1/orders?state=open&limit=SECRET", "", "X-Shop: a"), "the query parameter limit must be of the type that the document has"},
			{request("GET /v1/orders?state=%zz", "", "X-Shop: a"), "the query must be well-formed"},
			{request("GET /v1/orders?state=open", ""), "the header parameter X-Shop is required"},
			{request("GET /v1/orders?state=open", "", "X-Shop: SECRET"), "the header parameter X-Shop must have at most 3 characters"},
			{request("GET /v1/orders?state=open", "", "X-Shop: a", "Cookie: side=left"), ""},
			{request("GET /v1/orders?state=open", "", "X-Shop: a", "Cookie: side=SECRET"), "the cookie parameter side must fit the pattern of the document"},
			{request("GET /v1/orders?state=open", "{}", "X-Shop: a"), "the body must not be there: the document has none"},
			{request("POST /v1/orders", `{"sku": "a-1", "count": 2}`), ""},
			{request("POST /v1/orders", `{"sku": "a-1", "count": 2}`, "Content-Type: application/json; charset=utf-8"), ""},
			{request("POST /v1/orders", ""), "the body is required"},
			{request("POST /v1/orders", `{"sku": "a-1"}`, "Content-Type: text/xml"), "the header parameter Content-Type must be one that the document has"},
			{request("POST /v1/orders", `{"sku": "a-1"}`, "Content-Encoding: gzip"), "the header parameter Content-Encoding must not be there: what is compressed cannot be validated"},
			{request("POST /v1/orders", `SECRET`, "Content-Type: text/plain"), ""},
			{request("POST /v1/orders", `{"count": 2}`), "the body at /sku must have the property sku"},
			{request("POST /v1/orders", `{"sku": 7}`), "the body at /sku must be of type string"},
			{request("POST /v1/orders", `{"sku": "SECRET"}`), "the body at /sku must fit the pattern of the document"},
			{request("POST /v1/orders", `{"sku": "a-1", "SECRETS": 1}`), "the body has a property that the document does not have"},
			{request("POST /v1/orders", `{"sku": "a-1", "items": [{"n": 1}, {"n": -1}]}`), "the body at /items/1/n must be at least 0"},
			{request("POST /v1/orders", `{"sku": "a-1", "sku": "a-2"}`), "the body at /sku must not be there twice"},
			{request("POST /v1/orders", `{"sku": "a-1"`), "the body must be JSON: it is malformed behind byte 13"},
			{request("POST /v1/orders", `{"sku": "a-1"} {}`), "the body must be one JSON value, and something stands behind it at byte 16"},
			{request("POST /v1/orders", "{\"sku\": \"\xff\"}"), "the body must be UTF-8"},
			{request("POST /v1/orders", `{"sku": "a-1", "count": 1e999}`), "the body at /count must be JSON: it is malformed behind byte 29"},
			{request("POST /v1/orders", strings.Repeat("[", 40)), "the body at " + strings.Repeat("/0", 32) + " must not nest deeper than 32"},
		} {
			fault := v.Validate(t.Context(), c.r)
			got := ""
			if fault != nil {
				got = fault.String()
			}
			if got != c.want {
				t.Errorf("%s: %s %s %s: %q, want %q", file, c.r.Method, c.r.Path, c.r.Body, got, c.want)
			}
			if strings.Contains(got, "SECRET") && !strings.Contains(c.want, "SECRET") {
				t.Errorf("%s tells a value", got)
			}
		}
	}
	// A keyword that only 3.1 has.
	if fault := validator(t, "testdata/orders31.yaml").Validate(t.Context(), request("PATCH /v1/orders/7", `{"kind": "SECRET"}`)); fault == nil || strings.Contains(fault.String(), "SECRET") || fault.Pointer != "/kind" {
		t.Errorf("const: %v", fault)
	}
}

// FuzzValidate: whatever is sent, there is a verdict, and no panic.
func FuzzValidate(f *testing.F) {
	all := []*Validator{validator(f, "testdata/orders30.yaml"), validator(f, "testdata/orders31.yaml")}
	f.Add("POST", "/v1/orders", "application/json", `{"sku": "a-1", "items": [{"n": 1}]}`)
	f.Add("PATCH", "/v1/orders/7", "application/merge-patch+json", `{"kind": "a"}`)
	f.Add("GET", "/v1/orders?state=open&limit=5", "", "")
	f.Fuzz(func(t *testing.T, method, path, contentType, body string) {
		for _, v := range all {
			r := &Request{Method: method, Path: path, Header: http.Header{"Content-Type": {contentType}, "X-Shop": {body}, "Cookie": {"side=" + body}}, Body: []byte(body)}
			if fault := v.Validate(t.Context(), r); fault != nil && (fault.In == "" || fault.Rule == "") {
				t.Errorf("%+v", fault)
			}
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	v := validator(b, "testdata/orders30.yaml")
	r := request("POST /v1/orders", `{"sku": "a-1", "count": 2, "items": [{"n": 1}, {"n": 2}]}`)
	for b.Loop() {
		if fault := v.Validate(b.Context(), r); fault != nil {
			b.Fatal(fault)
		}
	}
}
