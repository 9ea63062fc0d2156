package transcoding

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/gatewright/gatewright/internal/testenv"
)

var update = flag.Bool("update", false, "write the descriptor sets of other packages' tests anew")

// copies are where other packages have the descriptor set of shop.proto.
var copies = []string{"../../config/testdata/orders.pb", "../plan/testdata/golden/orders.pb"}

func shop(t testing.TB) []byte {
	t.Helper()
	source, err := os.ReadFile("testdata/shop.proto")
	if err != nil {
		t.Fatal(err)
	}
	data, _ := testenv.Descriptors(t, map[string]string{"shop.proto": string(source)})
	return data
}

// TestCopies: what the tests of other packages read is made of shop.proto.
func TestCopies(t *testing.T) {
	want := shop(t)
	for _, path := range copies {
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what shop.proto compiles to (%v): go test ./internal/transcoding -update", filepath.Base(path), err)
		}
	}
}

func TestRead(t *testing.T) {
	set, problems := Read(shop(t), Options{Services: []string{"shop.v1.Orders"}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got []string
	for _, b := range set.Bindings {
		text := b.Verb + " " + b.Template + " → " + b.Method
		if b.Body != "" {
			text += " " + b.Body
		}
		if b.ClientStreams {
			text += " streamed"
		}
		if b.ServerStreams {
			text += " streaming"
		}
		got = append(got, text)
	}
	want := `GET /api/v1/orders/{id} → Get
GET /api/v1/customers/{customer}/orders/{id} → Get
POST /api/v1/orders → Create order
PUT /api/v1/orders/{id} → Replace *
GET /api/v1/orders → List streaming
POST /api/v1/orders:import → Import * streamed
GET /api/v1/orders/{id}/receipt → Receipt
POST /api/v1/orders/{id}/attachment → Attach file
GET /api/v1/fail/{code} → Fail
GET /api/v1/fail/{code}/late → FailLate streaming
GET /api/v1/files/{name=shelves/**} → File`
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("bindings:\n%s\nwant:\n%s", text, want)
	}
	again, _ := Read(shop(t), Options{Services: []string{"shop.v1.Orders"}})
	if again.Sum != set.Sum || !bytes.Equal(again.Encoded, set.Encoded) {
		t.Error("one set has two encodings")
	}
}

// TestEncoded: what Envoy gets has no comments and no service that nobody asks
// for, and each file behind those that it imports.
func TestEncoded(t *testing.T) {
	set, problems := Read(shop(t), Options{Services: []string{"shop.v1.Stock"}, Unbound: true, AllTypes: true})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var files descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(set.Encoded, &files); err != nil {
		t.Fatal(err)
	}
	seen, services := map[string]bool{}, []string{}
	for _, f := range files.GetFile() {
		for _, imported := range f.GetDependency() {
			if !seen[imported] {
				t.Errorf("%s stands before %s, which it imports", f.GetName(), imported)
			}
		}
		seen[f.GetName()] = true
		if f.SourceCodeInfo != nil {
			t.Errorf("%s has comments", f.GetName())
		}
		for _, s := range f.GetService() {
			services = append(services, s.GetName())
		}
	}
	if strings.Join(services, " ") != "Stock" || !seen["google/rpc/error_details.proto"] {
		t.Errorf("services %v, files %v", services, seen)
	}
}

// TestProblems: what Envoy would refuse, or leave without a word.
func TestProblems(t *testing.T) {
	method := func(rule string) string {
		return `syntax = "proto3"; package p; import "google/api/annotations.proto";
			message M { string a = 1; M m = 2; repeated string r = 3; }
			service S { rpc One(M) returns (M) { option (google.api.http) = {` + rule + `}; } rpc Two(M) returns (M) { option (google.api.http) = {get: "/two/{a}"}; } }`
	}
	for _, c := range []struct{ rule, want string }{
		{`get: "v1"`, `has the path "v1", which must begin with /`},
		{`get: "/v1/{a"`, "has a { that nothing closes"},
		{`get: "/v1/{a}/"`, `must have a / and a segment behind "{a}"`},
		{`get: "/v1/**/x"`, "must have ** as its last segment"},
		{`get: "/v1/{no}"`, "whose variable no is no field of p.M"},
		{`get: "/v1/{m}"`, "whose variable m is a message"},
		{`get: "/v1/{r}"`, "whose variable r is a repeated field"},
		{`get: "/v1/{a}/{a}"`, "must not have the variable a twice"},
		{`get: "/v1/{m.a.b}"`, "whose variable m.a.b is no field of p.M"},
		{`post: "/v1" body: "x"`, `has body: "x", which is no field of p.M`},
		{`get: "/v1" response_body: "x"`, `has response_body: "x", which is no field of p.M`},
		{`get: "/two/{m.a}"`, "must not bind GET /two/{a} twice: to p.S.One and to p.S.Two"},
		{`body: "*"`, "has no path"},
		{`get: "/v1/a{a}"`, `must not have the segment "a{a}"`},
	} {
		data, _ := testenv.Descriptors(t, map[string]string{"p.proto": method(c.rule)})
		set, problems := Read(data, Options{Services: []string{"p.S"}})
		if set != nil || len(problems) != 1 || !strings.Contains(problems[0].Rule, c.want) {
			t.Errorf("%s: %v, want %q", c.rule, problems, c.want)
		}
	}
	whole := shop(t)
	for _, c := range []struct {
		data     []byte
		services string
		want     string
	}{
		{nil, "shop.v1.Orders", "must be a google.protobuf.FileDescriptorSet"},
		{[]byte("syntax = \"proto3\";"), "shop.v1.Orders", "must be a google.protobuf.FileDescriptorSet"},
		{whole[:len(whole)-3], "shop.v1.Orders", "must be a google.protobuf.FileDescriptorSet"},
		{whole, "shop.v1.Order", "is no service"},
		{whole, "shop.v1.Stock", "has no method with google.api.http"},
		{withoutImports(t, whole), "shop.v1.Orders", "must be a descriptor set with all that its files import"},
	} {
		set, problems := Read(c.data, Options{Services: []string{c.services}})
		if set != nil || len(problems) != 1 || !strings.Contains(problems[0].Rule, c.want) {
			t.Errorf("%v, want %q", problems, c.want)
		}
	}
}

func withoutImports(t *testing.T, data []byte) []byte {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	set.File = set.File[len(set.File)-1:]
	alone, err := proto.Marshal(&set)
	if err != nil {
		t.Fatal(err)
	}
	return alone
}

func FuzzRead(f *testing.F) {
	f.Add(shop(f))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, service := range append(Services(data), "shop.v1.Orders") {
			set, problems := Read(data, Options{Services: []string{service}, Unbound: true})
			if (set == nil) == (len(problems) == 0) {
				t.Fatalf("a set: %t, problems: %v", set != nil, problems)
			}
			if set != nil {
				set.Find("GET", "/api/v1/orders/7")
			}
		}
	})
}
