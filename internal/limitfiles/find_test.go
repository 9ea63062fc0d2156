package limitfiles

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestDocumentedExamples are the cases that envoyproxy/ratelimit documents, in configs
// of our own. A case is a descriptor and the requests of its rule, 0 for none.
func TestDocumentedExamples(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		want   map[string]uint32
	}{
		"values of one key": {`
domain: d
descriptors:
  - {key: shelf, value: fiction, rate_limit: {unit: second, requests_per_unit: 50}}
  - {key: shelf, value: poetry, rate_limit: {unit: second, requests_per_unit: 60}}
`, map[string]uint32{"shelf=fiction": 50, "shelf=poetry": 60, "shelf=maps": 0, "shelf=": 0, "Shelf=fiction": 0}},
		"a nested list under a level without a limit": {`
domain: d
descriptors:
  - key: mail
    value: advert
    descriptors:
      - {key: to, rate_limit: {unit: day, requests_per_unit: 3}}
  - {key: to, rate_limit: {unit: day, requests_per_unit: 70}}
`, map[string]uint32{"mail=advert,to=ann": 3, "to=ann": 70, "mail=advert": 0, "mail=invoice,to=ann": 0, "mail=advert,to=ann,cc=bob": 0}},
		"the most specific value wins, wherever it stands": {`
domain: d
descriptors:
  - {key: address, rate_limit: {unit: second, requests_per_unit: 10}}
  - {key: address, value: 192.0.2.*, rate_limit: {unit: second, requests_per_unit: 5}}
  - {key: address, value: 192.0.2.7, rate_limit: {unit: second, requests_per_unit: 1}}
`, map[string]uint32{"address=198.51.100.1": 10, "address=192.0.2.8": 5, "address=192.0.2.7": 1, "address=192.0.2.": 5}},
		"as many entries as levels": {`
domain: d
descriptors:
  - {key: a, value: x, rate_limit: {unit: second, requests_per_unit: 30}}
  - key: b
    value: x
    descriptors: [{key: c, rate_limit: {unit: second, requests_per_unit: 31}}]
`, map[string]uint32{"a=x": 30, "a=x,c=y": 0, "b=x": 0, "b=x,c=y": 31}},
		"a limit at both levels": {`
domain: d
descriptors:
  - key: a
    rate_limit: {unit: second, requests_per_unit: 2}
    descriptors: [{key: b, rate_limit: {unit: second, requests_per_unit: 3}}]
`, map[string]uint32{"a=x": 2, "a=x,b=y": 3}},
		"a value without a limit is let through": {`
domain: d
descriptors:
  - {key: a, rate_limit: {unit: second, requests_per_unit: 2}}
  - {key: a, value: friend}
`, map[string]uint32{"a=x": 2, "a=friend": 0}},
		"wildcards at the end, within, and several": {`
domain: d
descriptors:
  - {key: a, value: v*, rate_limit: {unit: second, requests_per_unit: 1}}
  - {key: path, value: /in/*/out, rate_limit: {unit: second, requests_per_unit: 2}}
  - {key: path, value: /one/*/two/*/three, rate_limit: {unit: second, requests_per_unit: 3}}
`, map[string]uint32{
			"a=v": 1, "a=v1": 1, "a=w": 0, "path=/in/7/out": 2, "path=/in/out": 0, "path=/in//out": 2, "path=/in/a/b/out": 2,
			"path=/in/7/other": 0, "path=/one/1/two/2/three": 3, "path=/one/1/two/three": 0, "path=/one/1/two/two/three": 3,
		}},
		"the first of the wildcards that match": {`
domain: d
descriptors:
  - {key: a, value: x*, rate_limit: {unit: second, requests_per_unit: 1}}
  - {key: a, value: xyz*, rate_limit: {unit: second, requests_per_unit: 2}}
`, map[string]uint32{"a=xyz1": 1, "a=xyz*": 2}},
		"what is decided at a level stays decided": {`
domain: d
descriptors:
  - {key: a, value: x, descriptors: [{key: b, rate_limit: {unit: second, requests_per_unit: 1}}]}
  - {key: a, descriptors: [{key: c, rate_limit: {unit: second, requests_per_unit: 2}}]}
`, map[string]uint32{"a=x,b=y": 1, "a=x,c=y": 0, "a=z,c=y": 2}},
		"keys and values are pairs": {`
domain: d
descriptors:
  - {key: a, value: b_c, rate_limit: {unit: second, requests_per_unit: 1}}
  - {key: a_b, value: c, rate_limit: {unit: second, requests_per_unit: 2}}
  - {key: x_y, rate_limit: {unit: second, requests_per_unit: 3}}
  - {key: w, value: x*, rate_limit: {unit: second, requests_per_unit: 4}}
`, map[string]uint32{"a=b_c": 1, "a_b=c": 2, "x=y": 0, "x_y=": 3, "w_x=y": 0}},
	} {
		read := table(t, Options{}, c.config)
		for descriptor, want := range c.want {
			got := Find(read, "d", entries(descriptor))
			if (got == nil) != (want == 0) || got != nil && got.Requests != want {
				t.Errorf("%s: %s: got %+v, want %d", name, descriptor, got, want)
			}
		}
		if got := Find(read, "e", entries("a=x")); got != nil {
			t.Errorf("%s: got %+v in a domain that is not there", name, got)
		}
	}
	if Find(nil, "d", entries("a=x")) != nil {
		t.Error("a rule in no table")
	}
}

// TestPathsOfMetrics: what a rule is called in metrics, with the values that it tells.
func TestPathsOfMetrics(t *testing.T) {
	read := table(t, Options{}, `
domain: d
descriptors:
  - {key: plain, rate_limit: {unit: second, requests_per_unit: 1}}
  - {key: detailed, detailed_metric: true, rate_limit: {unit: second, requests_per_unit: 1}}
  - {key: detailed, value: v, rate_limit: {unit: second, requests_per_unit: 1}}
  - key: route
    value_to_metric: true
    descriptors:
      - key: method
        value: G*
        value_to_metric: true
        descriptors: [{key: user, rate_limit: {unit: second, requests_per_unit: 1}}]
  - key: file
    value: dir/*
    share_threshold: true
    value_to_metric: true
    descriptors:
      - {key: user, rate_limit: {unit: second, requests_per_unit: 1}}
      - {key: group, detailed_metric: true, rate_limit: {unit: second, requests_per_unit: 1}}
  - {key: wild, value: w*, rate_limit: {unit: second, requests_per_unit: 1}}
`)
	for descriptor, want := range map[string]string{
		"plain=x":                   "plain",
		"detailed=x":                "detailed_x",
		"detailed=":                 "detailed",
		"detailed=v":                "detailed_v",
		"route=r,method=GET,user=u": "route_r.method_GET.user",
		"file=dir/a,user=u":         "file_dir/*.user",
		"file=dir/a,group=g":        "file_dir/*.group_g",
		"wild=w1":                   "wild_w*",
	} {
		if got := PathOf(Find(read, "d", entries(descriptor)), entries(descriptor)); got != want {
			t.Errorf("%s: got %q, want %q", descriptor, got, want)
		}
	}
}

// TestSharedValues: one count for all values that match, where it is asked for.
func TestSharedValues(t *testing.T) {
	read := table(t, Options{}, `
domain: d
descriptors:
  - key: dir
    value: a*z
    share_threshold: true
    descriptors:
      - {key: dir, value: b*, rate_limit: {unit: second, requests_per_unit: 1}}
      - {key: dir, value: c*, share_threshold: true, rate_limit: {unit: second, requests_per_unit: 1}}
`)
	for descriptor, want := range map[string]string{"dir=a1z,dir=b1": "a*z b1", "dir=a2z,dir=c1": "a*z c*"} {
		all := entries(descriptor)
		rule := Find(read, "d", all)
		if got := rule.Value(0, all[0].GetValue()) + " " + rule.Value(1, all[1].GetValue()); got != want {
			t.Errorf("%s: got %q, want %q", descriptor, got, want)
		}
	}
}

// TestLimitNamesAreInjective: what differs in domain, keys, algorithm or unit has
// another name, whatever bytes it is made of.
func TestLimitNamesAreInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a/~01_]{1,4}`)
		kind := rapid.Custom(func(t *rapid.T) string {
			keys := rapid.SliceOfN(word, 1, 3).Draw(t, "keys")
			domain, a, u := word.Draw(t, "domain"), rapid.SampledFrom(algorithms).Draw(t, "algorithm"), rapid.SampledFrom(units).Draw(t, "unit")
			return fmt.Sprintf("%q", []any{domain, a, u, keys}) + "\x00" + Limit(domain, keys, a, u, 1).Name
		})
		one, other := kind.Draw(t, "one"), kind.Draw(t, "other")
		oneIs, oneName, _ := strings.Cut(one, "\x00")
		otherIs, otherName, _ := strings.Cut(other, "\x00")
		if (oneIs == otherIs) != (oneName == otherName) {
			t.Fatalf("%s is %q, %s is %q", oneIs, oneName, otherIs, otherName)
		}
	})
}

// reference is a plain reading of the rules: a list of descriptors, and the one of them
// that an entry leads to.
type reference struct {
	key, value string
	requests   uint32 // 0: no limit here
	below      []reference
}

func (r reference) write(b *strings.Builder, indent string) {
	fmt.Fprintf(b, "%s- key: %q\n%s  value: %q\n", indent, r.key, indent, r.value)
	if r.requests > 0 {
		fmt.Fprintf(b, "%s  rate_limit: {unit: day, requests_per_unit: %d}\n", indent, r.requests)
	}
	if len(r.below) > 0 {
		fmt.Fprintf(b, "%s  descriptors:\n", indent)
		for _, next := range r.below {
			next.write(b, indent+"    ")
		}
	}
}

// find is the requests for a descriptor.
func find(all []reference, descriptor []entry) uint32 {
	next := chosen(all, descriptor[0].GetKey(), descriptor[0].GetValue())
	switch {
	case next == nil:
		return 0
	case len(descriptor) == 1:
		return next.requests
	default:
		return find(next.below, descriptor[1:])
	}
}

func chosen(all []reference, key, value string) *reference {
	for _, fits := range []func(r reference) bool{
		func(r reference) bool { return r.value == value && value != "" },
		func(r reference) bool { return strings.Contains(r.value, "*") && matches(r.value, value) },
		func(r reference) bool { return r.value == "" },
	} {
		for i, r := range all {
			if r.key == key && fits(r) {
				return &all[i]
			}
		}
	}
	return nil
}

// matches tries every text that the first "*" could stand for.
func matches(pattern, value string) bool {
	before, after, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == value
	}
	rest, ok := strings.CutPrefix(value, before)
	if !ok {
		return false
	}
	for i := range len(rest) + 1 {
		if matches(after, rest[i:]) {
			return true
		}
	}
	return false
}

// TestFindIsThePlainReading compares Find with the reference.
func TestFindIsThePlainReading(t *testing.T) {
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		key, value := rapid.SampledFrom([]string{"a", "b", "a_b"}), rapid.StringMatching(`[xy_*]{0,4}`)
		requests := uint32(0)
		var level func(depth int) []reference
		level = func(depth int) []reference {
			var all []reference
			seen := map[pair]bool{}
			for range rapid.IntRange(0, 5).Draw(t, "descriptors") {
				r := reference{key: key.Draw(t, "key"), value: value.Draw(t, "value")}
				if seen[pair{r.key, r.value}] {
					continue
				}
				seen[pair{r.key, r.value}] = true
				if rapid.Bool().Draw(t, "limited") {
					requests++
					r.requests = requests
				}
				if depth > 1 {
					r.below = level(depth - 1)
				}
				all = append(all, r)
			}
			return all
		}
		top := level(3)
		text := new(strings.Builder)
		text.WriteString("domain: d\ndescriptors:\n")
		for _, r := range top {
			r.write(text, "  ")
		}
		read, err := parse(named([]string{text.String()}), Options{})
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		for range 20 {
			var descriptor []entry
			for range rapid.IntRange(1, 4).Draw(t, "entries") {
				descriptor = append(descriptor, entry(key.Draw(t, "key")+"="+value.Draw(t, "value")))
			}
			got, want := uint32(0), find(top, descriptor)
			if rule := Find(read, "d", descriptor); rule != nil {
				got = rule.Requests
			}
			if want != 0 {
				found++
			}
			if got != want {
				t.Fatalf("%q: got %d, want %d in\n%s", descriptor, got, want, text)
			}
		}
	})
	if found < 50 {
		t.Errorf("only %d descriptors had a rule: the test says little", found)
	}
}
