package limitxds

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	rlsconfv3 "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/internal/limitfiles"
)

// TestTreesSayWhatFilesSay: a resource and the file of the same content are read as the same
// rules, or have the same faults.
func TestTreesSayWhatFilesSay(t *testing.T) {
	t.Parallel()
	folder, good, bad := t.TempDir(), 0, 0
	rapid.Check(t, func(t *rapid.T) {
		c := randomConfig(t)
		root := tree(c)
		text, err := yaml.Marshal(root)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "a.yaml"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		want, wantErr := limitfiles.Read(folder, limitfiles.Options{})
		got, err := limitfiles.ReadTrees([]limitfiles.Tree{{Name: "a", Root: root}}, limitfiles.Options{})
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("the tree: %v\nthe file: %v\n%s", err, wantErr, text)
		}
		if err != nil {
			bad++
			if a, b := strings.Count(err.Error(), "\n"), strings.Count(wantErr.Error(), "\n"); a != b {
				t.Fatalf("the tree: %v\nthe file: %v\n%s", err, wantErr, text)
			}
			return
		}
		good++
		if !reflect.DeepEqual(got.Rules(), want.Rules()) {
			t.Fatalf("got %+v, want %+v of\n%s", got.Rules(), want.Rules(), text)
		}
	})
	if good < 3 || bad < 3 {
		t.Errorf("%d good ones and %d bad ones: the test says little", good, bad)
	}
}

// words are texts that could be taken for something else.
var words = []string{"", "a", "b", "*", "a*", "yes", "null", "~", "1", "0x1", "2020-01-01", "a: b", "- a", "é", "<<", "true", "\"", "#"}

func randomConfig(t *rapid.T) *rlsconfv3.RateLimitConfig {
	word := rapid.SampledFrom(words)
	var descriptors func(depth int) []*rlsconfv3.RateLimitDescriptor
	descriptors = func(depth int) (out []*rlsconfv3.RateLimitDescriptor) {
		for range rapid.IntRange(0, 2).Draw(t, "descriptors") {
			d := &rlsconfv3.RateLimitDescriptor{
				Key: rapid.SampledFrom(words[1:]).Draw(t, "key"), Value: word.Draw(t, "value"),
				ShadowMode: rapid.Bool().Draw(t, "shadow"), QuotaMode: rapid.Bool().Draw(t, "quota"), DetailedMetric: rapid.Bool().Draw(t, "detailed"),
			}
			if strings.Contains(d.Key, "*") {
				d.Key = "k"
			}
			if rapid.Bool().Draw(t, "limited") {
				d.RateLimit = randomPolicy(t)
			}
			if depth > 0 {
				d.Descriptors = descriptors(depth - 1)
			}
			if rapid.Bool().Draw(t, "metadata") {
				d.Metadata, _ = structpb.NewStruct(map[string]any{word.Draw(t, "name"): []any{word.Draw(t, "text"), nil, true, 0.5, 1e21, -3}, "in": map[string]any{"x": "y"}})
			}
			out = append(out, d)
		}
		return out
	}
	return &rlsconfv3.RateLimitConfig{Name: "a", Domain: rapid.SampledFrom(words[1:]).Draw(t, "domain"), Descriptors: descriptors(2)}
}

func randomPolicy(t *rapid.T) *rlsconfv3.RateLimitPolicy {
	p := &rlsconfv3.RateLimitPolicy{
		Unit: rlsconfv3.RateLimitUnit(rapid.IntRange(1, 7).Draw(t, "unit")), RequestsPerUnit: rapid.Uint32().Draw(t, "requests"),
		Name: rapid.SampledFrom(words).Draw(t, "name"),
	}
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0:
		p.Unit = 0
	case 1:
		p.Unit = 99
	case 2:
		p.Unlimited = true
	case 3:
		p.Unit, p.Unlimited = 0, true
	case 4:
		p.Replaces = []*rlsconfv3.RateLimitReplace{{Name: "other"}, {Name: p.Name}}
	}
	return p
}

// TestFaultsOfResources: what is no sound resource is told by its place.
func TestFaultsOfResources(t *testing.T) {
	t.Parallel()
	packed := func(c *rlsconfv3.RateLimitConfig) *anypb.Any {
		out, err := anypb.New(c)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	unknown := of("unknown", "a", 1)
	unknown.Descriptors[0].ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(
		protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1), 99, protowire.BytesType), "x"))
	deep := of("deep", "a", 1)
	for range 5000 {
		deep.Descriptors = []*rlsconfv3.RateLimitDescriptor{{Key: "a", Descriptors: deep.Descriptors}}
	}
	zero := of("zero", "a", 0) // admits nothing
	for want, sent := range map[string]*anypb.Any{
		"": packed(zero),
		`resource 0: is of the type "type.googleapis.com/google.protobuf.Struct", must be ` + typeURL: {TypeUrl: "type.googleapis.com/google.protobuf.Struct"},
		"resource 0: cannot be read: proto":                      {TypeUrl: typeURL, Value: []byte{0xff}},
		"resource 0: domain: is missing":                         packed(&rlsconfv3.RateLimitConfig{}),
		`"a\nb": domain: "a\nb", is the domain of`:               nil,
		`gatewright: domain: "gatewright", is the domain of the`: packed(of("gatewright", "a", 1)),
		`unknown: descriptors[0]."field 99": unknown field`:      packed(unknown),
		"deep: descriptors[0].":                                  packed(deep),
	} {
		all := resources([]*anypb.Any{sent})
		if sent == nil {
			all = resources([]*anypb.Any{packed(of("a\nb", "a", 1)), packed(of("a\nb", "c", 1))})
		}
		read, err := table(all, limitfiles.Options{})
		switch {
		case want == "":
			if err != nil || read.Summary().Rules != 1 {
				t.Errorf("%v and %v, want a rule", read.Summary(), err)
			}
		case err == nil || !strings.HasPrefix(err.Error(), want) || strings.Count(err.Error(), "\n") > 0:
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

// TestMergedResources: a domain may come in several resources, by choice.
func TestMergedResources(t *testing.T) {
	t.Parallel()
	one, other := of("d", "a", 1), of("d", "b", 2)
	one.Name, other.Name = "1", "2"
	var all []resource
	for _, c := range []*rlsconfv3.RateLimitConfig{other, one} {
		sent, err := anypb.New(c)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, resources([]*anypb.Any{sent})...)
	}
	if _, err := table(all, limitfiles.Options{}); err == nil || !strings.HasPrefix(err.Error(), `2: domain: "d", is the domain of 1 too`) {
		t.Error(err)
	}
	read, err := table(all, limitfiles.Options{MergeDomains: true})
	if err != nil || len(read.Rules()) != 2 || read.Rules()[0].Requests != 1 {
		t.Errorf("%v, %v", read, err)
	}
}

// FuzzResources: whatever a server sends is rules or faults, and nothing else.
func FuzzResources(f *testing.F) {
	for _, c := range []*rlsconfv3.RateLimitConfig{of("d", "a", 1), of("gatewright", "*", 0), {Name: "\xff", Domain: "d"}} {
		data, _ := proto.MarshalOptions{AllowPartial: true}.Marshal(c)
		f.Add(data, data)
	}
	f.Add([]byte{0xff}, []byte{0x1a, 0})
	f.Fuzz(func(t *testing.T, one, other []byte) {
		all := resources([]*anypb.Any{{TypeUrl: typeURL, Value: one}, {TypeUrl: typeURL, Value: other}})
		for _, o := range []limitfiles.Options{{}, {MergeDomains: true}} {
			read, err := table(all, o)
			if (read == nil) != (err != nil) || err != nil && !limitfiles.IsFaults(err) {
				t.Errorf("got %v and %v", read, err)
			}
		}
	})
}
