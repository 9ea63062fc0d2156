package limitxds

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	rlsconfv3 "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// tree is a resource as a file of the same content would be read. What has its zero value
// is not there: in the protocol that is the same.
func tree(c *rlsconfv3.RateLimitConfig) *yaml.Node {
	var m mapping
	m.text("domain", c.GetDomain())
	m.add("descriptors", list(c.GetDescriptors(), descriptor))
	return m.node(c)
}

func descriptor(d *rlsconfv3.RateLimitDescriptor) *yaml.Node {
	var m mapping
	m.text("key", d.GetKey())
	m.text("value", d.GetValue())
	if l := d.GetRateLimit(); l != nil {
		m.add("rate_limit", rateLimit(l))
	}
	if below := d.GetDescriptors(); len(below) > 0 {
		m.add("descriptors", list(below, descriptor))
	}
	m.flag("shadow_mode", d.GetShadowMode())
	m.flag("quota_mode", d.GetQuotaMode())
	m.flag("detailed_metric", d.GetDetailedMetric())
	if of := d.GetMetadata(); of != nil {
		m.add("metadata", object(of))
	}
	return m.node(d)
}

func rateLimit(l *rlsconfv3.RateLimitPolicy) *yaml.Node {
	var m mapping
	if l.GetUnit() != rlsconfv3.RateLimitUnit_UNKNOWN {
		m.text("unit", l.GetUnit().String())
	}
	if requests := l.GetRequestsPerUnit(); requests > 0 || !l.GetUnlimited() {
		m.add("requests_per_unit", scalar("!!int", strconv.FormatUint(uint64(requests), 10)))
	}
	m.flag("unlimited", l.GetUnlimited())
	m.text("name", l.GetName())
	if replaced := l.GetReplaces(); len(replaced) > 0 {
		m.add("replaces", list(replaced, replace))
	}
	return m.node(l)
}

func replace(r *rlsconfv3.RateLimitReplace) *yaml.Node {
	var m mapping
	m.text("name", r.GetName())
	return m.node(r)
}

// mapping is a mapping in the making.
type mapping []*yaml.Node

func (m *mapping) add(key string, value *yaml.Node) { *m = append(*m, word(key), value) }

func (m *mapping) text(key, value string) {
	if value != "" {
		m.add(key, word(value))
	}
}

func (m *mapping) flag(key string, value bool) {
	if value {
		m.add(key, scalar("!!bool", "true"))
	}
}

// node is the mapping of a message. Fields of the message that are not known here are
// keys that nobody knows, and so faults: what a limit means without them, nobody can tell.
func (m *mapping) node(of proto.Message) *yaml.Node {
	seen := map[protowire.Number]bool{}
	for unknown := of.ProtoReflect().GetUnknown(); len(unknown) > 0; {
		number, _, length := protowire.ConsumeField(unknown)
		if length < 0 {
			break // cannot be: what was read is well formed
		}
		if !seen[number] {
			seen[number] = true
			m.add(fmt.Sprintf("field %d", number), scalar("!!null", ""))
		}
		unknown = unknown[length:]
	}
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: *m}
}

func list[E any](all []E, one func(E) *yaml.Node) *yaml.Node {
	out := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: make([]*yaml.Node, len(all))}
	for i, e := range all {
		out.Content[i] = one(e)
	}
	return out
}

// word is a text, whatever it looks like.
func word(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: value}
}

func scalar(tag, value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}
}

func object(s *structpb.Struct) *yaml.Node {
	var m mapping
	for _, key := range slices.Sorted(maps.Keys(s.GetFields())) {
		m.add(key, plain(s.GetFields()[key]))
	}
	return m.node(s)
}

// plain is a value as YAML has it.
func plain(v *structpb.Value) *yaml.Node {
	switch v := v.GetKind().(type) {
	case *structpb.Value_StructValue:
		return object(v.StructValue)
	case *structpb.Value_ListValue:
		return list(v.ListValue.GetValues(), plain)
	case *structpb.Value_StringValue:
		return word(v.StringValue)
	case *structpb.Value_BoolValue:
		return scalar("!!bool", strconv.FormatBool(v.BoolValue))
	case *structpb.Value_NumberValue:
		return scalar("!!float", number(v.NumberValue))
	default:
		return scalar("!!null", "null")
	}
}

func number(f float64) string {
	switch {
	case math.IsNaN(f):
		return ".nan"
	case math.IsInf(f, 1):
		return ".inf"
	case math.IsInf(f, -1):
		return "-.inf"
	default:
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
}
