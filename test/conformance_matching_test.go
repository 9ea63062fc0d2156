package test

// matchingConformance are the tests of which route takes a request.
func matchingConformance() []conformance {
	return []conformance{
		{"matching", `
  - {name: m-every, match: {hosts: [m.test], path: /**}, auth: public, to: [{backend: v1}]}
  - {name: m-one, match: {hosts: [m.test], path: /**, headers: {version: one}}, auth: public, to: [{backend: v1}]}
  - {name: m-v2, match: {hosts: [m.test], path: /v2/**}, auth: public, to: [{backend: v2}]}
  - {name: m-two, match: {hosts: [m.test], path: /**, headers: {version: two}}, auth: public, to: [{backend: v2}]}
`, append(each("v1", "m.test/", "m.test/example", "m.test/v2example", "m.test/foo/v2/example"),
			append(each("v2", "m.test/v2", "m.test/v2/example", "m.test/v2/"),
				check{"m.test/", "Version: one", "v1", ""},
				check{"m.test/", "Version: two", "v2", ""})...)},

		{"matching across routes", `
  - {name: ma-every, match: {hosts: [example.com, example.net], path: /**}, auth: public, to: [{backend: v1}]}
  - {name: ma-one, match: {hosts: [example.com, example.net], path: /**, headers: {version: one}}, auth: public, to: [{backend: v1}]}
  - {name: ma-v2, match: {hosts: [example.com], path: /v2/**}, auth: public, to: [{backend: v2}]}
  - {name: ma-two, match: {hosts: [example.com], path: /**, headers: {version: two}}, auth: public, to: [{backend: v2}]}
`, append(each("v1", "example.com/", "example.com/example", "example.net/example", "example.net/v2"),
			append(each("v2", "example.com/v2", "example.com/v2/example"),
				check{"example.com/example", "Version: one", "v1", ""},
				check{"example.com/", "Version: two", "v2", ""},
				check{"example.net/", "Version: two", "v1", ""})...)},

		{"exact path matching", `
  - {name: ex-one, match: {hosts: [exact.test], path: /one}, auth: public, to: [{backend: v1}]}
  - {name: ex-two, match: {hosts: [exact.test], path: /two}, auth: public, to: [{backend: v2}]}
`, append([]check{{"exact.test/one", "", "v1", ""}, {"exact.test/two", "", "v2", ""}, {"exact.test/one?x=/two", "", "v1", ""}},
			each("404", "exact.test/", "exact.test/one/example", "exact.test/two/", "exact.test/Two", "exact.test/onetwo")...)},

		// Of the matches that are equally specific the first of a rule list wins
		// there; here a priority says which.
		{"header matching", `
  - {name: h-one, match: {hosts: [headers.test], path: /**, headers: {version: one}}, auth: public, to: [{backend: v1}]}
  - {name: h-two, priority: 1, match: {hosts: [headers.test], path: /**, headers: {version: two}}, auth: public, to: [{backend: v2}]}
  - {name: h-orange, priority: 2, match: {hosts: [headers.test], path: /**, headers: {version: two, color: orange}}, auth: public, to: [{backend: v1}]}
  - {name: h-blue, match: {hosts: [headers.test], path: /**, headers: {color: blue}}, auth: public, to: [{backend: v1}]}
  - {name: h-green, match: {hosts: [headers.test], path: /**, headers: {color: green}}, auth: public, to: [{backend: v1}]}
  - {name: h-red, match: {hosts: [headers.test], path: /**, headers: {color: red}}, auth: public, to: [{backend: v2}]}
  - {name: h-yellow, match: {hosts: [headers.test], path: /**, headers: {color: yellow}}, auth: public, to: [{backend: v2}]}
`, []check{
			{"headers.test/", "Version: one", "v1", ""},
			{"headers.test/", "Version: two", "v2", ""},
			{"headers.test/", "VERSION: two", "v2", ""},
			{"headers.test/", "Version: two | Color: orange", "v1", ""},
			{"headers.test/", "Version: two | Color: blue", "v2", ""},
			{"headers.test/", "Color: orange", "404", ""},
			{"headers.test/", "Some-Other-Header: one", "404", ""},
			{"headers.test/", "Color: blue", "v1", ""},
			{"headers.test/", "Color: green", "v1", ""},
			{"headers.test/", "Color: red", "v2", ""},
			{"headers.test/", "Color: yellow", "v2", ""},
			{"headers.test/", "Color: purple", "404", ""},
			{"headers.test/", "Color: Blue", "404", ""},
		}},

		{"method matching", `
  - {name: me-post, match: {hosts: [methods.test], path: /**, methods: [POST]}, auth: public, to: [{backend: v1}]}
  - {name: me-get, match: {hosts: [methods.test], path: /**, methods: [GET]}, auth: public, to: [{backend: v2}]}
  - {name: me-path1, match: {hosts: [methods.test], path: /path1/**, methods: [GET]}, auth: public, to: [{backend: v1}]}
  - {name: me-put, match: {hosts: [methods.test], path: /**, methods: [PUT], headers: {version: one}}, auth: public, to: [{backend: v2}]}
  - {name: me-path2, match: {hosts: [methods.test], path: /path2/**, methods: [POST], headers: {version: two}}, auth: public, to: [{backend: v3}]}
  - {name: me-path3, match: {hosts: [methods.test], path: /path3/**, methods: [PATCH]}, auth: public, to: [{backend: v1}]}
  - {name: me-path4, match: {hosts: [methods.test], path: /path4/**, methods: [DELETE], headers: {version: three}}, auth: public, to: [{backend: v1}]}
  - {name: me-path5, match: {hosts: [methods.test], path: /path5/**}, auth: public, to: [{backend: v1}]}
  - {name: me-patch, match: {hosts: [methods.test], path: /**, methods: [PATCH]}, auth: public, to: [{backend: v2}]}
  - {name: me-four, match: {hosts: [methods.test], path: /**, headers: {version: four}}, auth: public, to: [{backend: v3}]}
`, []check{
			{"POST methods.test/", "", "v1", ""},
			{"GET methods.test/", "", "v2", ""},
			{"HEAD methods.test/", "", "404", ""},
			{"OPTIONS methods.test/", "", "404", ""},
			{"GET methods.test/path1", "", "v1", ""},
			{"PUT methods.test/", "Version: one", "v2", ""},
			{"POST methods.test/path2", "Version: two", "v3", ""},
			{"POST methods.test/path2", "", "v1", ""},
			{"PATCH methods.test/path3", "", "v1", ""},
			{"DELETE methods.test/path4", "Version: three", "v1", ""},
			{"PUT methods.test/", "", "404", ""},
			{"DELETE methods.test/path4", "", "404", ""},
			{"PATCH methods.test/path5", "", "v1", ""},
			{"PATCH methods.test/", "Version: four", "v2", ""},
			{"PUT methods.test/", "Version: four", "v3", ""},
		}},

		{"path match order", `
  - {name: o-match, match: {hosts: [order.test], path: /match}, auth: public, to: [{backend: v1}]}
  - {name: o-exact, match: {hosts: [order.test], path: /match/exact}, auth: public, to: [{backend: v2}]}
  - {name: o-exact-one, match: {hosts: [order.test], path: /match/exact/one}, auth: public, to: [{backend: v3}]}
  - {name: o-below, match: {hosts: [order.test], path: /match/**}, auth: public, to: [{backend: v3}]}
  - {name: o-prefix, match: {hosts: [order.test], path: /match/prefix/**}, auth: public, to: [{backend: v1}]}
  - {name: o-prefix-one, match: {hosts: [order.test], path: /match/prefix/one/**}, auth: public, to: [{backend: v2}]}
`, []check{
			{"order.test/match/exact/one", "", "v3", ""},
			{"order.test/match/exact", "", "v2", ""},
			{"order.test/match", "", "v1", ""},
			{"order.test/match/prefix/one/any", "", "v2", ""},
			{"order.test/match/prefix/one", "", "v2", ""},
			{"order.test/match/prefix/any", "", "v1", ""},
			{"order.test/match/prefix/onemore", "", "v1", ""},
			{"order.test/match/any", "", "v3", ""},
			{"order.test/match/", "", "v3", ""},
			{"order.test/matching", "", "404", ""},
		}},

		{"query param matching", `
  - {name: q-whale, match: {hosts: [query.test], path: /**, query: {animal: whale}}, auth: public, to: [{backend: v1}]}
  - {name: q-dolphin, match: {hosts: [query.test], path: /**, query: {animal: dolphin}}, auth: public, to: [{backend: v2}]}
  - {name: q-blue, match: {hosts: [query.test], path: /**, query: {animal: dolphin, color: blue}}, auth: public, to: [{backend: v3}]}
  - {name: q-capitals, match: {hosts: [query.test], path: /**, query: {ANIMAL: Whale}}, auth: public, to: [{backend: v3}]}
  - {name: q-path1, match: {hosts: [query.test], path: /path1/**, query: {animal: whale}}, auth: public, to: [{backend: v1}]}
  - {name: q-one, match: {hosts: [query.test], path: /**, headers: {version: one}, query: {animal: whale}}, auth: public, to: [{backend: v2}]}
  - {name: q-path2, match: {hosts: [query.test], path: /path2/**, headers: {version: two}, query: {animal: whale}}, auth: public, to: [{backend: v3}]}
  - {name: q-path3, match: {hosts: [query.test], path: /path3/**, query: {animal: shark}}, auth: public, to: [{backend: v1}]}
  - {name: q-path4, match: {hosts: [query.test], path: /path4/**, headers: {version: three}, query: {animal: kraken}}, auth: public, to: [{backend: v1}]}
  - {name: q-path5, match: {hosts: [query.test], path: /path5/**}, auth: public, to: [{backend: v1}]}
  - {name: q-hydra, match: {hosts: [query.test], path: /**, query: {animal: hydra}}, auth: public, to: [{backend: v2}]}
  - {name: q-four, match: {hosts: [query.test], path: /**, headers: {version: four}}, auth: public, to: [{backend: v3}]}
`, []check{
			{"query.test/?animal=whale", "", "v1", ""},
			{"query.test/?animal=dolphin", "", "v2", ""},
			{"query.test/?animal=dolphin&color=blue", "", "v3", ""},
			{"query.test/?color=blue&animal=dolphin", "", "v3", ""},
			{"query.test/?ANIMAL=Whale", "", "v3", ""},
			{"query.test/?animal=whale&otherparam=irrelevant", "", "v1", ""},
			{"query.test/?animal=dolphin&color=yellow", "", "v2", ""},
			{"query.test/?color=blue", "", "404", ""},
			{"query.test/?animal=dog", "", "404", ""},
			{"query.test/?animal=whaledolphin", "", "404", ""},
			{"query.test/?animal=whale&animal=dolphin", "", "v1", ""},
			{"query.test/?Animal=whale", "", "404", ""},
			{"query.test/", "", "404", ""},
			{"query.test/path1?animal=whale", "", "v1", ""},
			{"query.test/?animal=whale", "Version: one", "v2", ""},
			{"query.test/path2?animal=whale", "Version: two", "v3", ""},
			{"query.test/path3?animal=shark", "", "v1", ""},
			{"query.test/path4?animal=kraken", "Version: three", "v1", ""},
			{"query.test/?animal=shark", "", "404", ""},
			{"query.test/path4?animal=kraken", "", "404", ""},
			{"query.test/path5?animal=hydra", "", "v1", ""},
			{"query.test/?animal=hydra", "Version: four", "v3", ""},
		}},

		// There a listener names hosts, and a route those of them that it takes;
		// what both name is what a route here does.
		{"hostname intersection", `
  - {name: i-s1, match: {hosts: [very.specific.com], path: /s1/**}, auth: public, to: [{backend: v1}]}
  - {name: i-s2, match: {hosts: [foo.wildcard.io, bar.wildcard.io, foo.bar.wildcard.io], path: /s2/**}, auth: public, to: [{backend: v2}]}
  - {name: i-s3, match: {hosts: [very.specific.com], path: /s3/**}, auth: public, to: [{backend: v3}]}
  - {name: i-s4, match: {hosts: ["*.anotherwildcard.io"], path: /s4/**}, auth: public, to: [{backend: v1}]}
  - {name: i-all, match: {hosts: [first.com, sub.first.com, second.com, sub.second.com], path: /**}, auth: public, to: [{backend: v2}]}
`, append(append(append(append(append(
			each("v1", "very.specific.com/s1", "very.specific.com:1234/s1", "VERY.specific.com/s1"),
			each("v2", "foo.wildcard.io/s2", "bar.wildcard.io/s2", "foo.bar.wildcard.io/s2")...),
			each("v3", "very.specific.com/s3")...),
			each("v1", "foo.anotherwildcard.io/s4", "bar.anotherwildcard.io/s4", "foo.bar.anotherwildcard.io/s4", "foo.anotherwildcard.io:8080/s4")...),
			each("v2", "first.com/", "sub.first.com/", "second.com/", "sub.second.com/")...),
			each("404", "non.matching.com/s1", "foo.nonmatchingwildcard.io/s1", "foo.wildcard.io/s1", "very.specific.com/non-matching-prefix",
				"non.matching.com/s2", "wildcard.io/s2", "very.specific.com/s2", "foo.wildcard.io/non-matching-prefix",
				"non.matching.com/s3", "foo.specific.com/s3", "foo.wildcard.io/s3",
				"anotherwildcard.io/s4", "foo.wildcard.io/s4", "very.specific.com/s4", "foo.anotherwildcard.io/non-matching-prefix",
				"specific.but.wrong.com/s5", "wildcard.io/s5", "third.com/", "sub.third.com/")...)},

		{"listener hostname matching", `
  - {name: l-bar, match: {hosts: [bar.com], path: /**}, auth: public, to: [{backend: v1}]}
  - {name: l-foo-bar, match: {hosts: [foo.bar.com], path: /**}, auth: public, to: [{backend: v2}]}
  - {name: l-wild, match: {hosts: ["*.bar.com", "*.foo.com"], path: /**}, auth: public, to: [{backend: v3}]}
`, append(append(append(
			each("v1", "bar.com/"), each("v2", "foo.bar.com/")...),
			each("v3", "baz.bar.com/", "boo.bar.com/", "multiple.prefixes.bar.com/", "multiple.prefixes.foo.com/", "x.foo.bar.com/")...),
			each("404", "foo.com/", "no.matching.host/")...)},

		{"named rule", `
  - {name: named-rule, match: {hosts: [named.test], path: /named/**}, auth: public, to: [{backend: v1}]}
  - {name: n-2, match: {hosts: [named.test], path: /unnamed/**}, auth: public, to: [{backend: v2}]}
`, append(each("v1", "named.test/named"), each("v2", "named.test/unnamed")...)},

		// A route without backends is refused here: it says what it answers.
		{"omitted backendRefs", `
  - {name: om-1, match: {hosts: [omitted.test], path: /omitted-no-forward}, auth: public, respond: {status: 500}}
  - {name: om-2, match: {hosts: [omitted.test], path: /**}, auth: public, to: [{backend: v1}]}
`, append(each("v1", "omitted.test/forward"), each("500", "omitted.test/omitted-no-forward")...)},
	}
}
