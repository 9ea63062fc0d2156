package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// indexTemplate is what of deploy/logs/index-template.json says how a field is indexed.
type indexTemplate struct {
	Template struct {
		Mappings struct {
			Properties map[string]mapping
		}
	}
}

type mapping struct {
	Type        string
	IgnoreAbove int `json:"ignore_above"`
}

// notOfTheLog are the fields of what is no line of the access log, which is kept and not
// indexed: Filebeat's message, and why it is none; Fluent Bit's log.
var notOfTheLog = []string{"message", "error", "log"}

// unfit says what of a document is not indexed as what the template says that it is: a
// field that it does not have, a value of another type, or one that is too long.
func (i *indexTemplate) unfit(fields map[string]any) (out []string) {
	properties := i.Template.Mappings.Properties
	if fields["@timestamp"] == nil {
		out = append(out, "@timestamp is missing")
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		m, mapped := properties[name]
		if !mapped {
			if fields["request_id"] != nil || !slices.Contains(notOfTheLog, name) {
				out = append(out, name+" has no mapping")
			}
			continue
		}
		if err := m.takes(fields[name]); err != nil {
			out = append(out, fmt.Sprintf("%s: %v", name, err))
		}
	}
	return out
}

// takes says why a value is none of the mapping's type; null is one of any.
func (m mapping) takes(value any) error {
	if value == nil {
		return nil
	}
	number, isNumber := value.(json.Number)
	text, isText := value.(string)
	switch m.Type {
	case "short":
		return integer(number, isNumber, 16)
	case "long":
		return integer(number, isNumber, 64)
	case "keyword":
		if !isText || len(utf16.Encode([]rune(text))) > m.IgnoreAbove {
			return fmt.Errorf("%.100v is no text of at most %d", value, m.IgnoreAbove)
		}
	case "ip":
		if _, err := netip.ParseAddr(text); err != nil {
			return fmt.Errorf("%v is no address", value)
		}
	case "date":
		if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
			return fmt.Errorf("%v is no time", value)
		}
	default:
		return fmt.Errorf("nobody knows what a %s takes", m.Type)
	}
	return nil
}

// integer says why a number is no whole one of so many bits.
func integer(number json.Number, isNumber bool, bits int) error {
	n, whole := new(big.Int).SetString(number.String(), 10)
	if !isNumber || !whole || n.BitLen() >= bits {
		return fmt.Errorf("%q is no whole number of %d bits", number, bits)
	}
	return nil
}

// TestMappingIsJudged: a document that fits the index template is found to, and one that
// Elasticsearch would index in part is not.
func TestMappingIsJudged(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../deploy/logs/index-template.json")
	if err != nil {
		t.Fatal(err)
	}
	template := &indexTemplate{}
	if err := json.Unmarshal(text, template); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ document, wants string }{
		{`{"@timestamp":"2026-11-28T18:00:00.123Z","status":200,"bytes_in":0,"client_ip":"2001:db8::1","user":null,"request_id":"r"}`, ""},
		{`{"@timestamp":"2026-11-28T18:00:00.123Z","message":"no line","error":{"type":"json"}}`, ""},
		{`{"@timestamp":"2026-11-28T18:00:00.123Z","log":"no line"}`, ""},
		{`{"status":200}`, "@timestamp is missing"},
		{`{"@timestamp":1764352800}`, "is no time"},
		{`{"@timestamp":"2026-11-28T18:00:00.123Z","agent":{"type":"filebeat"}}`, "agent has no mapping"},
		{`{"@timestamp":"2026-11-28T18:00:00.123Z","request_id":"r","message":"as well"}`, "message has no mapping"},
		{`{"@timestamp":"2026-11-28T18:00:00.123Z","status":"200"}`, "status: "},
		{`{"@timestamp":"2026-11-28T18:00:00.123Z","status":40000}`, "status: "},
		{`{"@timestamp":"2026-11-28T18:00:00.123Z","duration_ms":1.5}`, "duration_ms: "},
		{`{"@timestamp":"2026-11-28T18:00:00.123Z","client_ip":"localhost"}`, "is no address"},
		{`{"@timestamp":"2026-11-28T18:00:00.123Z","host":{"name":"a machine"}}`, "host: "},
		{`{"@timestamp":"2026-11-28T18:00:00.123Z","host":"` + strings.Repeat("x", 513) + `"}`, "at most 512"},
	} {
		fields, err := objectOf(c.document)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(template.unfit(fields), "; ")
		if c.wants == "" && got != "" || !strings.Contains(got, c.wants) {
			t.Errorf("%s: %q, want %q", c.document, got, c.wants)
		}
	}
}
