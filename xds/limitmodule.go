package xds

import (
	"fmt"
	"strings"

	modulefilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/dynamic_modules/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gatewright/gatewright/config"
)

// Where the config names a dynamic module (config.Experiments.EnvoyModule), what tells of a
// limit that runs inside Envoy is a filter of the module's, in the place of header mutations:
// to reckon when a bucket is full takes an expression there, and that costs as much as the
// bucket. The bucket is Envoy's in either form. See docs/decisions/0055 and envoy/module.

// ofModule is a part of the names of filters, where the module tells of limits.
func ofModule(module string) string {
	if module == "" {
		return ""
	}
	return "module."
}

// limitModule is the file of the module that tells of the limits of policies, the same for
// all of them; empty where there is none.
func limitModule(policies []*PlacedPolicy) string {
	for _, p := range policies {
		if p.LimitModule != "" {
			return p.LimitModule
		}
	}
	return ""
}

func (b builder) limitModule() string { return limitModule(b.policies.Placed) }

// kindOfCounted is the kind of the filters that tell of limits.
func (b builder) kindOfCounted() proto.Message {
	if b.limitModule() != "" {
		return &modulefilterv3.DynamicModuleFilter{}
	}
	return &headermutationv3.HeaderMutation{}
}

// countedByModule is the module's filter of a limit, with its config as
// envoy/module/src/limit.rs reads it.
func (b builder) countedByModule(l *config.Limit, module string) *modulefilterv3.DynamicModuleFilter {
	var s strings.Builder
	fmt.Fprintf(&s, "version 1\nlimit %s\nrefill %d %d\ncost %d\nwords %s\n",
		l.Name, l.TokenBucket.Refill.Events, l.TokenBucket.Refill.Per.Milliseconds(), l.Cost.Usual(), limitWords(b.config.RateLimitHeaders))
	if b.tellsMapped(l) {
		fmt.Fprintf(&s, "client %s\n", config.CountedAddressHeader)
	}
	return moduleFilter(module, "counted", s.String())
}

// limitWords are the headers that tell of limits. Config that says nothing means the first.
func limitWords(h config.RateLimitHeaders) config.RateLimitHeaders {
	if h == "" {
		return config.HeadersIETF
	}
	return h
}
