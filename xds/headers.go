package xds

import (
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/gatewright/gatewright/config"
)

// IdentityHeaders are the headers that only the gateway may say who somebody is
// by, in lower case, sorted: the well-known ones and all that a provider
// forwards.
func IdentityHeaders(c *config.Config) []string {
	return lowerSorted(append(c.IdentityHeaders(), config.WellKnownIdentity...))
}

func lowerSorted(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = strings.ToLower(name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// putHeaders are the header options of what a config sets and adds.
func putHeaders(h *config.HeaderChanges) []*corev3.HeaderValueOption {
	if h == nil {
		return nil
	}
	out := setHeaders(h.Set)
	for _, option := range setHeaders(h.Add) {
		option.AppendAction = corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
		out = append(out, option)
	}
	return out
}

// removed are the headers that a config takes away. The list is the caller's own.
func removed(h *config.HeaderChanges) []string {
	if h == nil {
		return nil
	}
	return slices.Clone(h.Remove)
}

// setHeaders are header options that replace what is there, sorted by name.
// The values are literal: a percent sign is escaped, since Envoy would read it
// as the beginning of a command. Those with variables are for edits.
func setHeaders(set map[string]string) []*corev3.HeaderValueOption {
	var out []*corev3.HeaderValueOption
	for _, name := range sortedKeys(set) {
		value, _ := config.ParseTemplate(set[name]) // it is valid
		if !value.Varies() {
			out = append(out, setHeader(name, strings.ReplaceAll(value.Literal(), "%", "%%")))
		}
	}
	return out
}

// setHeader replaces a header by a value in Envoy's format language.
func setHeader(name, format string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: format},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		// An empty value is set as it is said, not left out.
		KeepEmptyValue: format == "",
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// traceHeader sets the trace's id, where there is one. %TRACE_ID% equals the id in
// traceparent.
func (b builder) traceHeader() []*corev3.HeaderValueOption {
	if !b.config.Traces() {
		return nil
	}
	return []*corev3.HeaderValueOption{setHeader(config.TraceIDHeader, "%TRACE_ID%")}
}
