package ratelimit

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
)

func TestBucketKey(t *testing.T) {
	for name, c := range map[string]struct {
		limit  string
		key    []config.KeyPart
		values []string
		want   string
	}{
		"a plain value":             {"per-user", []config.KeyPart{"user"}, []string{"alice"}, "{user=alice}:per-user"},
		"no value":                  {"per-user", []config.KeyPart{"user"}, []string{""}, "{user=}:per-user"},
		"no key":                    {"all", nil, nil, "{all}:all"},
		"several parts":             {"l", []config.KeyPart{"user", "route"}, []string{"alice", "r"}, "{user=alice}:l:r"},
		"separators are escaped":    {"a:b", []config.KeyPart{"user"}, []string{"c:d%#="}, "{user=c%3Ad%25%23%3D}:a%3Ab"},
		"a hash tag is escaped":     {"l", []config.KeyPart{"user"}, []string{"{x}"}, "{user=%7Bx%7D}:l"},
		"any bytes":                 {"l", []config.KeyPart{"user"}, []string{"\x00\xff é"}, "{user=%00%FF%20%C3%A9}:l"},
		"a network stays legible":   {"l", []config.KeyPart{"clientIP"}, []string{"2001:db8::/64"}, "{clientIP=2001%3Adb8%3A%3A/64}:l"},
		"a header is never in text": {"l", []config.KeyPart{"header:X"}, []string{"secret"}, "{header%3AX=" + digest("secret") + "}:l"},
		"nor is an API key":         {"l", []config.KeyPart{"user", "apiKey"}, []string{"a", "secret"}, "{user=a}:l:" + digest("secret")},
		"nor what a rule says":      {"l", []config.KeyPart{"user", "rule:request.path"}, []string{"a", "secret"}, "{user=a}:l:" + digest("secret")},
		"a method is":               {"l", []config.KeyPart{"user", "method"}, []string{"a", "GET"}, "{user=a}:l:GET"},
		"a missing header is empty": {"l", []config.KeyPart{"header:X"}, []string{""}, "{header%3AX=}:l"},
		"a long tag is its digest": {"l", []config.KeyPart{"user"}, []string{strings.Repeat("x", 99)},
			"{" + digest("user="+strings.Repeat("x", 99)) + "}:l"},
		"a long key is its digest": {"l", []config.KeyPart{"user", "route"}, []string{"a", strings.Repeat("x", 199)},
			"{user=a}:" + digest("l:"+strings.Repeat("x", 199))},
	} {
		t.Run(name, func(t *testing.T) {
			if got := bucketKey(&config.Limit{Name: c.limit, Key: c.key}, c.values, config.Allowance{}); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Two lists of values share a bucket only if they are the same list.
func TestBucketKeyIsInjective(t *testing.T) {
	// Few bytes, and those that the encoding uses itself, collide soonest.
	text := rapid.OneOf(
		rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]byte("a:%#={3A\x00\xff")), 0, 6), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 300), func(b []byte) string { return string(b) }),
	)
	parts := rapid.SliceOfN(rapid.SampledFrom([]config.KeyPart{"user", "header:X", "apiKey", "claim:c", "method", "rule:request.path"}), 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		key := parts.Draw(t, "key")
		draw := func(label string) (string, []string, config.Allowance) {
			allowance := config.Allowance{Plan: rapid.SampledFrom([]string{"a", "3A", "none"}).Draw(t, label+" plan"), Apart: rapid.Bool().Draw(t, label+" apart")}
			return text.Draw(t, label+" limit"), rapid.SliceOfN(text, len(key), len(key)).Draw(t, label), allowance
		}
		plans := map[string]*config.LimitPlan{"a": {}, "3A": {}}
		limitA, a, allowedA := draw("a")
		limitB, b, allowedB := draw("b")
		keyA := bucketKey(&config.Limit{Name: limitA, Key: key, Plans: plans}, a, allowedA)
		keyB := bucketKey(&config.Limit{Name: limitB, Key: key, Plans: plans}, b, allowedB)
		// A plan alone is no part of the key, and one that is apart is.
		same := limitA == limitB && slices.Equal(a, b) && allowedA.Apart == allowedB.Apart && (!allowedA.Apart || allowedA.Plan == allowedB.Plan)
		if (keyA == keyB) != same {
			t.Fatalf("%q %q → %q, %q %q → %q", limitA, a, keyA, limitB, b, keyB)
		}
		tag, rest, _ := strings.Cut(keyA[1:], "}")
		if len(tag) > maxTagLength || len(rest) > maxKeyLength+1 || strings.ContainsAny(tag+rest, "{} \x00\n") || keyA[0] != '{' {
			t.Fatalf("%q is too long or not plain", keyA)
		}
	})
}

// What the text of one list would be, cut or joined at other places, is another.
func TestBucketKeyNeighboursDiffer(t *testing.T) {
	key := []config.KeyPart{"user", "tenant", "claim:x"}
	lists := [][]string{nil, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"a", "b"}, {"ab"}, {"a:b"}, {"a%3Ab"}, {"a", "b", ""}, {"#"}, {digest("a")}, {"+"}, {"a+"}, {"a", "+"}}
	seen := map[string][]string{}
	for _, values := range lists {
		for _, apart := range []bool{false, true} {
			k := bucketKey(&config.Limit{Name: "l", Key: key}, values, config.Allowance{Apart: apart})
			if other, ok := seen[k]; ok {
				t.Errorf("%q and %q share %q", other, values, k)
			}
			seen[k] = values
		}
	}
}

func TestClientIPKey(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":               "192.0.2.1",
		"192.0.2.1:8080":          "192.0.2.1",
		"::ffff:192.0.2.1":        "192.0.2.1",
		"[::ffff:192.0.2.1]:80":   "192.0.2.1",
		"2001:db8::1":             "2001:db8::/64",
		"2001:DB8:0:0:ffff::1":    "2001:db8::/64",
		"[2001:db8::2]:443":       "2001:db8::/64",
		"[2001:db8::2]":           "2001:db8::/64",
		"2001:db8:0:1::1":         "2001:db8:0:1::/64",
		"fe80::1%eth0":            "fe80::/64",
		"[fe80::1%eth0]:80":       "fe80::/64",
		"":                        "",
		"not an address":          "not an address",
		"192.0.2.256":             "192.0.2.256",
		"[192.0.2.1]":             "[192.0.2.1]",
		"unix:/run/gateway.sock":  "unix:/run/gateway.sock",
		"2001:db8::/64":           "2001:db8::/64",
		"2001:db8:ffff:ffff::/64": "2001:db8:ffff:ffff::/64",
	} {
		if got := ClientIPKey(addr, 64); got != want {
			t.Errorf("ClientIPKey(%q) = %q, want %q", addr, got, want)
		}
		if again := ClientIPKey(want, 64); again != want {
			t.Errorf("ClientIPKey(%q) = %q, want it unchanged", want, again)
		}
	}
}

// A limit that gets another algorithm counts under another key, which no value makes.
func TestBucketKeyTellsAlgorithmsApart(t *testing.T) {
	window := &config.SlidingWindow{Limit: 1, Window: 1}
	seen := map[string]int{}
	for i, l := range []config.Limit{
		{TokenBucket: &config.TokenBucket{}}, {SlidingWindow: window}, {SlidingLog: window}, {FixedWindow: window},
		{Quota: &config.Quota{}}, {Concurrency: &config.Concurrency{}},
	} {
		l.Name, l.Key = "l", []config.KeyPart{"user"}
		for _, value := range []string{"", "a", "a=w", "=l", "=", strings.Repeat("x", 300)} {
			k := bucketKey(&l, []string{value}, config.Allowance{})
			if other, ok := seen[k]; ok {
				t.Errorf("algorithms %d and %d share %q", other, i, k)
			}
			seen[k] = i
		}
	}
}
