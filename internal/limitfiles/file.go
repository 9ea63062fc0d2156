package limitfiles

import (
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// file is a file as it is written.
type file struct {
	Domain      text          `yaml:"domain" required:"true"`
	Descriptors []*descriptor `yaml:"descriptors" null:"true"`
}

// descriptor is one level of a descriptor, and what may come below it.
type descriptor struct {
	Key            text          `yaml:"key" required:"true"`
	Value          text          `yaml:"value" text:"true"`
	RateLimit      *rateLimit    `yaml:"rate_limit"`
	Descriptors    []*descriptor `yaml:"descriptors" null:"true"`
	ShadowMode     flag          `yaml:"shadow_mode"`
	QuotaMode      flag          `yaml:"quota_mode"`
	DetailedMetric flag          `yaml:"detailed_metric"`
	ValueToMetric  flag          `yaml:"value_to_metric"`
	ShareThreshold flag          `yaml:"share_threshold"`
	Metadata       metadata      `yaml:"metadata"`
}

// rateLimit is what a descriptor may do. Algorithm is our addition.
type rateLimit struct {
	Unit            text        `yaml:"unit" text:"true"`
	RequestsPerUnit count       `yaml:"requests_per_unit"`
	Unlimited       flag        `yaml:"unlimited"`
	Name            text        `yaml:"name" text:"true"`
	Replaces        []*replaced `yaml:"replaces" null:"true"`
	Algorithm       text        `yaml:"algorithm"`
}

type replaced struct {
	Name text `yaml:"name" required:"true"`
}

// text is a word as it is written: 123 and yes are words too, and a null is the
// empty one.
type text string

// ReadNode implements config.NodeReader.
func (t *text) ReadNode(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		return "must be a text"
	}
	if n.ShortTag() != "!!null" {
		*t = text(n.Value)
	}
	return ""
}

// flag is a boolean as YAML 1.1 has it.
type flag bool

// ReadNode implements config.NodeReader.
func (f *flag) ReadNode(n *yaml.Node) string {
	value, ok := boolean(n)
	if !ok && n.ShortTag() != "!!null" {
		return "must be true or false"
	}
	*f = flag(value)
	return ""
}

// boolean is a node as YAML 1.1 reads booleans, and whether it is one.
func boolean(n *yaml.Node) (value, ok bool) {
	if !isPlain(n) {
		return false, false
	}
	switch strings.ToLower(n.Value) {
	case "true", "yes", "on", "y":
		return true, true
	case "false", "no", "off", "n":
		return false, true
	}
	return false, false
}

// isPlain tells a single value without quotes.
func isPlain(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
}

// count is a number of requests, and whether one is given.
type count struct {
	value uint32
	given bool
}

// ReadNode implements config.NodeReader.
func (c *count) ReadNode(n *yaml.Node) string {
	const rule = "must be a whole number from 0 to 4294967295, in decimal digits"
	if !isPlain(n) {
		return rule
	}
	value, err := strconv.ParseUint(n.Value, 10, 32)
	if err != nil || strconv.FormatUint(value, 10) != n.Value {
		return rule
	}
	c.value, c.given = uint32(value), true
	return ""
}

// metadata is what a rule adds to an answer's dynamic metadata: any mapping that
// JSON can say.
type metadata map[string]any

// maxMetadata is how many values a rule's metadata may have.
const maxMetadata = 1000

// ReadNode implements config.NodeReader.
func (m *metadata) ReadNode(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return ""
	}
	if n.Kind != yaml.MappingNode {
		return "must be a mapping"
	}
	left := maxMetadata
	value, rule := plainValue(n, &left)
	if rule == "" {
		*m = value.(map[string]any)
	}
	return rule
}

// plainValue is a node as JSON would say it. left bounds how many values it is made of.
func plainValue(n *yaml.Node, left *int) (any, string) {
	if *left--; *left < 0 {
		return nil, "has more than " + strconv.Itoa(maxMetadata) + " values"
	}
	switch n.Kind {
	case yaml.AliasNode:
		return plainValue(n.Alias, left)
	case yaml.MappingNode:
		out := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode {
				return nil, "has a key that is no text"
			}
			if _, twice := out[key.Value]; twice {
				return nil, "has the key " + strconv.Quote(key.Value) + " twice"
			}
			value, rule := plainValue(n.Content[i+1], left)
			if rule != "" {
				return nil, rule
			}
			out[key.Value] = value
		}
		return out, ""
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, entry := range n.Content {
			value, rule := plainValue(entry, left)
			if rule != "" {
				return nil, rule
			}
			out[i] = value
		}
		return out, ""
	}
	return plainScalar(n)
}

func plainScalar(n *yaml.Node) (any, string) {
	if b, ok := boolean(n); ok {
		return b, ""
	}
	if n.ShortTag() == "!!timestamp" {
		return n.Value, "" // a text that looks like a date stays one
	}
	var value any
	if err := n.Decode(&value); err != nil {
		return nil, "has a value that JSON cannot say: " + strconv.Quote(n.Value)
	}
	switch v := value.(type) {
	case nil, string, bool:
		return v, ""
	case int:
		return float64(v), ""
	case int64:
		return float64(v), ""
	case uint64:
		return float64(v), ""
	case float64:
		if !math.IsInf(v, 0) && !math.IsNaN(v) {
			return v, ""
		}
	}
	return nil, "has a value that JSON cannot say: " + strconv.Quote(n.Value)
}
