package limitfiles

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
)

// table is what files say, each given as its text; their names are a.yaml, b.yaml ….
func table(t testing.TB, o Options, texts ...string) *Table {
	t.Helper()
	read, err := parse(named(texts), o)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func named(texts []string) []content {
	files := make([]content, len(texts))
	for i, text := range texts {
		files[i] = content{string(rune('a'+i)) + ".yaml", []byte(text)}
	}
	return files
}

// entry is an Entry, written key=value.
type entry string

func (e entry) GetKey() string   { key, _, _ := strings.Cut(string(e), "="); return key }
func (e entry) GetValue() string { _, value, _ := strings.Cut(string(e), "="); return value }

// entries are written key=value, with commas between them.
func entries(text string) []entry {
	if text == "" {
		return nil
	}
	var all []entry
	for one := range strings.SplitSeq(text, ",") {
		all = append(all, entry(one))
	}
	return all
}

// TestBadFiles reads each file of testdata/bad. Its first lines say, after "# want: ",
// every fault it has, and there must be no other.
func TestBadFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d bad files (%v), and there are more", len(files), err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
			if fault, ok := strings.CutPrefix(lines.Text(), "# want: "); ok {
				want = append(want, path+":"+fault)
			}
		}
		read, err := parse([]content{{path, data}}, Options{})
		var faults config.Faults
		if read != nil || !errors.As(err, &faults) {
			t.Fatalf("%s: got %v and %v, want faults", path, read, err)
		}
		if got := faults.Error(); got != strings.Join(want, "\n") {
			t.Errorf("got:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
		}
	}
}

// TestEverything reads a file that uses the whole language.
func TestEverything(t *testing.T) {
	data, err := os.ReadFile("testdata/good/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	read := table(t, Options{}, string(data))
	if got, want := read.Summary(), (Summary{Files: 1, Domains: 1, Rules: 9}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	fixed := func(keys []string, u Unit, requests int64) *config.Limit {
		return Limit("everything", keys, FixedWindow, u, requests)
	}
	for descriptor, want := range map[string]Rule{
		"database=users": {Requests: 500, Unit: Second, Limit: fixed([]string{"database"}, Second, 500)},
		"database=123":   {Requests: 500, Unit: Second, Limit: fixed([]string{"database"}, Second, 500)},
		"database=on":    {Name: "by_merge", Requests: 7, Unit: Second, Limit: fixed([]string{"database"}, Second, 7)},
		"database=": {Unit: Month, ShadowMode: true, QuotaMode: true, Metadata: map[string]any{"team": map[string]any{
			"name": "storage", "tier": 1.0, "since": "2020-01-01", "on_call": []any{"a", nil, true, 0.5, "no"},
		}}},
		"open=x": {Name: "open", Requests: 3, Unlimited: true},
		"path=/api/1/xy,user=u": {
			Requests: 4294967295, Unit: Hour, Replaces: []string{"by_merge", "open"}, detailed: true,
			Limit: fixed([]string{"path", "user"}, Hour, 4294967295),
		},
		"bucket=b": {Requests: 1000, Unit: Year, Limit: Limit("everything", []string{"bucket"}, TokenBucket, Year, 1000)},
		"window=w": {Requests: 10, Unit: Week, Limit: Limit("everything", []string{"window"}, SlidingWindow, Week, 10)},
		"log=l":    {Requests: 10, Unit: Day, Limit: Limit("everything", []string{"log"}, SlidingLog, Day, 10)},
	} {
		got := Find(read, "everything", entries(descriptor))
		if got == nil {
			t.Errorf("%s: no rule", descriptor)
			continue
		}
		want.Domain = "everything"
		rule := *got
		rule.levels, rule.path = nil, ""
		if !reflect.DeepEqual(rule, want) {
			t.Errorf("%s: got  %+v\nwant %+v", descriptor, rule, want)
		}
	}
	for _, descriptor := range []string{"", "nothing=n", "path=/api/1/xy", "database=users,user=u", "none=n"} {
		if got := Find(read, "everything", entries(descriptor)); got != nil {
			t.Errorf("%q: got %+v, want no limit", descriptor, got)
		}
	}
}

// TestUnits: a month has 30 days, a year 365.
func TestUnits(t *testing.T) {
	const day = 24 * time.Hour
	for unit, want := range map[Unit]time.Duration{
		Second: time.Second, Minute: time.Minute, Hour: time.Hour, Day: day, Week: 7 * day, Month: 30 * day, Year: 365 * day, "": 0,
	} {
		if got := unit.Length(); got != want {
			t.Errorf("%q: got %v, want %v", unit, got, want)
		}
	}
}

// TestOneDomainInTwoFiles is refused, or put together by choice.
func TestOneDomainInTwoFiles(t *testing.T) {
	const (
		first  = "domain: d\ndescriptors:\n  - {key: a, value: x*, rate_limit: {unit: day, requests_per_unit: 1}}\n"
		second = "domain: d\ndescriptors:\n  - {key: a, value: xy*, rate_limit: {unit: day, requests_per_unit: 2}}\n" +
			"  - {key: b, rate_limit: {unit: day, requests_per_unit: 3}}\n"
	)
	_, err := parse(named([]string{first, second}), Options{})
	const want = "b.yaml:1: domain: d, is the domain of a.yaml too: give each domain one file, or set GATEWRIGHT_RATELIMIT_MERGE_DOMAIN_CONFIG=true"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	merged := table(t, Options{MergeDomains: true}, first, second)
	for descriptor, requests := range map[string]uint32{"a=xyz": 1, "b=": 3} {
		if got := Find(merged, "d", entries(descriptor)); got == nil || got.Requests != requests {
			t.Errorf("%s: got %+v, want %d", descriptor, got, requests)
		}
	}
	_, err = parse(named([]string{first, first}), Options{MergeDomains: true})
	const twice = `b.yaml:3: descriptors[0]: has the key "a" and the value "x*", as has a.yaml:3`
	if err == nil || err.Error() != twice {
		t.Errorf("got  %v\nwant %s", err, twice)
	}
}

// TestFaultsOfAllFiles are told together.
func TestFaultsOfAllFiles(t *testing.T) {
	_, err := parse(named([]string{"domain:\n", "{", "domain: d\nother: 1\n"}), Options{})
	var faults config.Faults
	if !errors.As(err, &faults) || len(faults) != 3 || faults[0].File != "a.yaml" || faults[1].File != "b.yaml" || faults[2].File != "c.yaml" {
		t.Errorf("got %v, want a fault of each file", err)
	}
}

// TestDepthAndAliasesAreBounded: no file makes reading endless.
func TestDepthAndAliasesAreBounded(t *testing.T) {
	deep := "domain: d\ndescriptors: " + strings.Repeat("[{key: a, descriptors: ", 3000) + "[]" + strings.Repeat("}]", 3000)
	for name, text := range map[string]string{
		"deep":     deep,
		"itself":   "domain: d\ndescriptors: &x\n  - {key: a, descriptors: *x}\n  - {key: b, descriptors: *x}\n",
		"metadata": "domain: d\ndescriptors:\n  - key: a\n    metadata: &x {y: *x}\n",
		"merged":   "domain: d\nx: &a {p: 1}\n" + doubling(40) + "descriptors: []\n",
		"many":     "domain: d\ndescriptors: [" + strings.Repeat("{key: a},", 3000) + "]\n",
	} {
		if _, err := parse(named([]string{text}), Options{}); err == nil {
			t.Errorf("%s: no fault", name)
		}
	}
}

// doubling are mappings of which each holds the one before it twice, by merge keys.
func doubling(n int) string {
	var b strings.Builder
	last := "a"
	for i := range n {
		next := "m" + strings.Repeat("x", i)
		b.WriteString(next + ": &" + next + " {l: {<<: *" + last + "}, r: {<<: *" + last + "}}\n")
		last = next
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, path := range files {
			data, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(data))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		read, err := parse(named([]string{text}), Options{})
		if (read == nil) != (err != nil) {
			t.Errorf("got %v and %v", read, err)
		}
	})
}
