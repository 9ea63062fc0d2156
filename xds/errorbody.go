package xds

import (
	"fmt"
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typematcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/config"
)

// inOwnBodies puts before each answer those with a body of the config's own. All
// that such a body says is known when it is built, and encoded then, but for the
// status and the id that Envoy itself has given the request: nothing of a client's
// gets into it.
func (b builder) inOwnBodies(mappers []*hcmv3.ResponseMapper) []*hcmv3.ResponseMapper {
	all := config.ErrorBodiesOf(config.FromGateway, b.config.Errors)
	routes := b.withGatewayErrors()
	if len(all) == 0 && len(routes) == 0 {
		return mappers
	}
	var out []*hcmv3.ResponseMapper
	for _, m := range mappers {
		fields := m.GetBodyFormatOverride().GetJsonFormat().GetFields()
		p := problem{status: int(m.GetStatusCode().GetValue()), title: fields["title"].GetStringValue(), reason: fields["reason"].GetStringValue(), detail: fields["detail"].GetStringValue()}
		for _, r := range routes {
			out = append(out, ownBodies(m, p, config.ErrorBodiesOf(config.FromGateway, r.Errors), expression("xds.route_name == '"+r.Name+"'"))...)
		}
		out = append(out, ownBodies(m, p, all)...)
		out = append(out, m)
	}
	for _, p := range []problem{routeNotFound, methodRefused, pathRefused, hostRefused} {
		of := expression(fmt.Sprintf("response.code_details == 'direct_response' && xds.route_metadata.filter_metadata['%s']['%s'] == '%s'", routeMetadata, metadataReason, p.reason))
		out = append(out, ownBodies(&hcmv3.ResponseMapper{Filter: of}, p, all)...)
	}
	return out
}

// ownBodies are an answer with each body that may be meant for it, under more
// conditions than its own.
func ownBodies(m *hcmv3.ResponseMapper, p problem, bodies []*config.ErrorBody, also ...*accesslogv3.AccessLogFilter) []*hcmv3.ResponseMapper {
	var out []*hcmv3.ResponseMapper
	for _, e := range bodies {
		if p.status != 0 && !e.Has(p.status) {
			continue
		}
		conditions := append([]*accesslogv3.AccessLogFilter{m.GetFilter(), notCalled()}, also...)
		if p.status == 0 {
			conditions = append(conditions, statusAmong(e))
		}
		if e.Accept != "" {
			conditions = append(conditions, byHeaderFilter(header("accept", fits(e.AcceptPattern()))))
		}
		own := proto.Clone(m).(*hcmv3.ResponseMapper)
		own.Filter = all(conditions...)
		own.BodyFormatOverride = &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineString{InlineString: bodyFormat(e, p)},
			}},
			ContentType: e.ContentType,
		}
		out = append(out, own)
	}
	return out
}

// bodyFormat is a body in Envoy's format language.
func bodyFormat(e *config.ErrorBody, p problem) string {
	literal := func(s string) string { return strings.ReplaceAll(s, "%", "%%") }
	return e.Text(literal, func(variable string) string {
		switch variable {
		case "status":
			if p.status != 0 {
				return fmt.Sprint(p.status)
			}
			return "%RESPONSE_CODE%"
		case "request_id":
			return "%REQ(X-REQUEST-ID)%"
		case "title":
			return literal(e.Escape(p.title))
		case "detail":
			return literal(e.Escape(knownDetail(p)))
		}
		return literal(e.Escape(p.reason))
	})
}

// knownDetail is what a problem says, but for what Envoy says in its place: that
// may have something of the request in it, and cannot be encoded here.
func knownDetail(p problem) string {
	if strings.Contains(p.detail, "%") {
		return p.title
	}
	return p.detail
}

func statusAmong(e *config.ErrorBody) *accesslogv3.AccessLogFilter {
	var among []string
	for _, r := range e.Status {
		among = append(among, fmt.Sprintf("response.code >= %d && response.code <= %d", r.From, r.To))
	}
	return expression(strings.Join(among, " || "))
}

// notCalled is a request that is no call of gRPC, which could not read the body.
func notCalled() *accesslogv3.AccessLogFilter {
	m := &routev3.HeaderMatcher{
		Name: "content-type",
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &typematcherv3.StringMatcher{
			MatchPattern: &typematcherv3.StringMatcher_Prefix{Prefix: "application/grpc"},
		}},
		InvertMatch: true,
	}
	m.TreatMissingHeaderAsEmpty = true
	return byHeaderFilter(m)
}

func byHeaderFilter(m *routev3.HeaderMatcher) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{
		HeaderFilter: &accesslogv3.HeaderFilter{Header: m},
	}}
}
