package config

import (
	"regexp"
	"strings"
)

// GRPCMatch is a gRPC service and method. Both left out is every gRPC call.
type GRPCMatch struct {
	// Service is the full name with its package, as shop.v1.Orders. Left out,
	// it is every service.
	Service string `yaml:"service"`
	// Method is a method of it, as Get. Left out, it is every method.
	Method string `yaml:"method"`
}

// grpcContentType is what tells a gRPC call from another POST to its path: the
// media types of the protocol, and not those of gRPC-Web, which is another one
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
const grpcContentType = `application/grpc([+;].*)?`

// isGRPC matches it.
var isGRPC = regexp.MustCompile("^" + grpcContentType + "$")

// IsGRPC tells a content type of gRPC.
func IsGRPC(contentType string) bool { return isGRPC.MatchString(contentType) }

// grpcWebContentType is for the calls of both, of gRPC-Web in binary and in text
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md).
const grpcWebContentType = `application/grpc(-web(-text)?)?([+;].*)?`

// contentType is a header's name as Match.Headers of a gRPC match has it.
const contentType = "Content-Type"

// path is what the calls of a service and method are sent to. What is left out
// is a variable, which a rewrite may refer to.
func (g *GRPCMatch) path() string {
	service, method := g.Service, g.Method
	if service == "" {
		service = "{service}"
	}
	if method == "" {
		method = "{method}"
	}
	return "/" + service + "/" + method
}

// spellOut writes what a gRPC match means into the fields that say the same of
// any request; web is whether it takes gRPC-Web, too. So whoever orders, compares or compiles routes need not know of
// gRPC: Path, Methods and Headers are the whole meaning of a match. What the
// file has there itself is left, for the rules to judge.
func (m *Match) spellOut(web bool) {
	if m.GRPC == nil {
		return
	}
	if m.Path == "" {
		m.Path = m.GRPC.path()
	}
	if len(m.Methods) == 0 {
		m.Methods = []string{"POST"}
	}
	headers := map[string]ValueMatch{contentType: {Regex: grpcContentType}}
	if web {
		headers[contentType] = ValueMatch{Regex: grpcWebContentType}
	}
	for name, value := range m.Headers {
		if strings.EqualFold(name, contentType) {
			return
		}
		headers[name] = value
	}
	m.Headers = headers
}

// callsGRPC tells a route whose backends are called by gRPC.
func (r *Route) callsGRPC() bool { return r.Match.GRPC != nil || r.GRPCTranscode != nil }
