package explain

import (
	"strings"
	"testing"

	"github.com/gatewright/gatewright/config"
)

// What a request of REST becomes where its route is transcoded.
func TestCall(t *testing.T) {
	t.Parallel()
	c, err := config.ParseIn("../../config/testdata", "gateway.yaml", []byte(`
listeners: [{name: public, address: "127.0.0.1:8080"}]
backends: {orders: {endpoints: ["10.0.0.1:80"], protocol: grpc}}
routes: [{name: orders, match: {path: /api/**}, auth: public, to: [{backend: orders}], grpcTranscode: {descriptor: orders.pb, services: [shop.v1.Orders]}}]
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ method, path, contentType, call, seen string }{
		{"GET", "/api/v1/orders/7?with_items=true", "", `shop.v1.Orders.Get, bound to GET /api/v1/orders/{id}; id = "7", the query has further fields`, "/shop.v1.Orders/Get"},
		{"POST", "/api/v1/orders", "application/json", "shop.v1.Orders.Create, bound to POST /api/v1/orders; the body is order", "/shop.v1.Orders/Create"},
		{"POST", "/api/v1/orders:import", "application/json", "shop.v1.Orders.Import, bound to POST /api/v1/orders:import; the body is the message; the body is an array, of which each element is a message of a stream", "/shop.v1.Orders/Import"},
		{"DELETE", "/api/v1/orders/7", "", "none: answer 404 method-not-bound, since no method is bound to DELETE /api/v1/orders/7", ""},
		{"POST", "/api/x", "application/grpc+proto", "it is one already, and goes on as it is", "/api/x"},
	} {
		asked := Asked{Method: x.method, Scheme: "http", Host: "a", Path: x.path}
		if x.contentType != "" {
			asked.Headers = [][2]string{{"Content-Type", x.contentType}}
		}
		r := Explain(t.Context(), Options{Config: c, ClientIPKey: func(a string, _ int) string { return a }}, asked)
		if r.Then == nil || r.Then.Call != x.call || r.Then.Path != x.seen {
			t.Errorf("%s %s: %+v", x.method, x.path, r.Then)
			continue
		}
		var page strings.Builder
		if err := r.Write(&page); err != nil || !strings.Contains(page.String(), "call: "+x.call) {
			t.Errorf("%s (%v)", page.String(), err)
		}
	}
}
