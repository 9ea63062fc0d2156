package xds

import (
	"cmp"
	"strconv"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/gatewright/gatewright/config"
)

// answerHeadersFilter is the name of the filter that tells of the listener.
const answerHeadersFilter = "gatewright.answer_headers"

// altServiceAge is how long a client may remember that there is HTTP/3. It is Envoy's
// own choice, and that of RFC 7838: a day.
const altServiceAge = 24 * time.Hour

// answerHeaders are what a listener says on every answer, in the place of a backend's
// own.
func answerHeaders(l *config.Listener) []*corev3.HeaderValueOption {
	var out []*corev3.HeaderValueOption
	if l.TLS != nil && l.TLS.HSTS != nil {
		out = append(out, setHeader("Strict-Transport-Security", hstsValue(l.TLS.HSTS)))
	}
	if l.HTTP3 {
		out = append(out, setHeader("Alt-Svc", altService(l)))
	}
	return out
}

// hstsValue is the header's value (RFC 6797, section 6.1).
func hstsValue(h *config.HSTS) string {
	value := "max-age=" + strconv.FormatInt(int64(h.Age()/time.Second), 10)
	if h.IncludeSubDomains {
		value += "; includeSubDomains"
	}
	if h.Preload {
		value += "; preload"
	}
	return value
}

// altService names the port at which the same host speaks HTTP/3 (RFC 7838).
func altService(l *config.Listener) string {
	_, port := splitHostPort(l.Address)
	return `h3=":` + strconv.Itoa(cmp.Or(l.HTTP3Port, int(port))) + `"; ma=` + strconv.Itoa(int(altServiceAge/time.Second))
}

// tellAnswers puts those headers on every answer: the first filter is the last that
// sees one, whoever gives it. What Envoy refuses before it knows which filters there
// are (a request that is none) meets none, and has them by the mappers.
func tellAnswers(m *hcmv3.HttpConnectionManager, l *config.Listener) {
	headers := answerHeaders(l)
	if len(headers) == 0 {
		return
	}
	f := &headermutationv3.HeaderMutation{Mutations: &headermutationv3.Mutations{}}
	for _, h := range headers {
		f.Mutations.ResponseMutations = append(f.Mutations.ResponseMutations, &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Append{Append: h}})
	}
	m.HttpFilters = append([]*hcmv3.HttpFilter{httpFilter(answerHeadersFilter, f)}, m.HttpFilters...)
	replies := m.LocalReplyConfig
	replies.Mappers = append(replies.Mappers, &hcmv3.ResponseMapper{Filter: anyStatus()})
	for _, mapper := range replies.Mappers {
		mapper.HeadersToAdd = append(mapper.HeadersToAdd, headers...)
	}
}

// anyStatus is every answer.
func anyStatus() *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_StatusCodeFilter{
		StatusCodeFilter: &accesslogv3.StatusCodeFilter{Comparison: &accesslogv3.ComparisonFilter{
			Op:    accesslogv3.ComparisonFilter_GE,
			Value: &corev3.RuntimeUInt32{DefaultValue: 0, RuntimeKey: "gatewright.never_set"},
		}},
	}}
}
