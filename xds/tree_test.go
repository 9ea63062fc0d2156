package xds

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	inputv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
)

// TestTreesChooseTheMostSpecificRoute: drawn tables, and for each of them every
// request of a small world. The trees are read as Envoy reads them; that it does
// is shown by the end-to-end tests, which ask it.
func TestTreesChooseTheMostSpecificRoute(t *testing.T) {
	requests := everyRequest()
	rapid.Check(t, func(t *rapid.T) {
		c := &config.Config{}
		for i := range rapid.IntRange(1, 12).Draw(t, "routes") {
			c.Routes = append(c.Routes, drawRoute(t, fmt.Sprintf("r%d", i)))
		}
		b := builder{config: c, hosts: routesByHost(c), policies: Policies{
			Decide:           func(*config.Route, config.RateLimitPlacement) Decision { return Decision{} },
			Thresholds:       func(*config.Connections, bool) *clusterv3.CircuitBreakers { return nil },
			OutlierDetection: func(*config.OutlierDetection) *clusterv3.OutlierDetection { return nil },
		}}
		tree := routeTree("a", inTrees(b.place(c.Routes, nil, config.RateLimitService)), Decision{}, Decision{})
		if err := tree.ValidateAll(); err != nil {
			t.Fatal(err)
		}
		sorted := c.RoutesBySpecificity()
		for _, r := range requests {
			want := NotFoundRoute
			for _, route := range sorted {
				if r.fits(route) {
					want = route.Name
					break
				}
			}
			if got := r.walk(t, tree); got != want {
				t.Fatalf("%+v: the tree takes %s, the rules say %s", r, got, want)
			}
		}
	})
}

// asked is a request of the small world. An empty header or query is none.
type asked struct{ method, path, header, query string }

func everyRequest() []asked {
	var out []asked
	segments := []string{"a", "b", "ab"}
	paths := []string{"/", "/a/", "/a//"}
	for _, x := range segments {
		paths = append(paths, "/"+x)
		for _, y := range segments {
			paths = append(paths, "/"+x+"/"+y, "/"+x+"/"+y+"/")
			for _, z := range segments {
				paths = append(paths, "/"+x+"/"+y+"/"+z)
				if x != "ab" && y != "ab" {
					paths = append(paths, "/"+x+"/"+y+"/"+z+"/a")
				}
			}
		}
	}
	for _, p := range paths {
		for _, m := range []string{"GET", "POST"} {
			for _, h := range []string{"", "1", "2"} {
				for _, q := range []string{"", "1", "2"} {
					out = append(out, asked{m, p, h, q})
				}
			}
		}
	}
	return out
}

func drawRoute(t *rapid.T, name string) *config.Route {
	segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "{x}", "{y}"}), 0, 4).Draw(t, "segments")
	seen := map[string]bool{}
	segments = slices.DeleteFunc(segments, func(s string) bool { // a variable is named once
		again := seen[s] && strings.HasPrefix(s, "{")
		seen[s] = true
		return again
	})
	path := "/" + strings.Join(segments, "/")
	switch rapid.SampledFrom([]string{"", "/", "/**"}).Draw(t, "end") {
	case "/**":
		path = strings.TrimSuffix(path, "/") + "/**"
	case "/":
		path = strings.TrimSuffix(path, "/") + "/"
	}
	r := &config.Route{Name: name, Match: config.Match{Path: path}, Auth: &config.RouteAuth{Public: true}, Respond: &config.Respond{Status: 200}}
	r.Priority = rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "priority")
	r.Match.Methods = rapid.SampledFrom([][]string{nil, nil, {"GET"}, {"GET", "POST"}}).Draw(t, "methods")
	value := rapid.SampledFrom([]*config.ValueMatch{nil, nil, nil, {Exact: "1"}, {Prefix: "1"}, {Regex: "[12]"}, {Present: true}, {Absent: true}})
	if v := value.Draw(t, "header"); v != nil {
		r.Match.Headers = map[string]config.ValueMatch{"X-A": *v}
	}
	if v := value.Draw(t, "query"); v != nil {
		r.Match.Query = map[string]config.ValueMatch{"q": *v}
	}
	return r
}

// fits is the rules, read plainly.
func (r asked) fits(route *config.Route) bool {
	pattern, err := config.ParsePath(route.Match.Path)
	return err == nil && pattern.Matches(r.path) &&
		(len(route.Match.Methods) == 0 || slices.Contains(route.Match.Methods, r.method)) &&
		valueFits(route.Match.Headers, "X-A", r.header) && valueFits(route.Match.Query, "q", r.query)
}

func valueFits(want map[string]config.ValueMatch, name, value string) bool {
	m, asks := want[name]
	switch {
	case !asks:
		return true
	case m.Absent:
		return value == ""
	case m.Present, m.Regex != "": // [12], which every value of this world is
		return value != ""
	default:
		return value == "1"
	}
}

func (r asked) input(name string) (string, bool) {
	switch name {
	case ":path":
		if r.query != "" {
			return r.path + "?p=0&q=" + r.query, true
		}
		return r.path, true
	case pathHeader:
		return r.path + "/", true
	case ":method":
		return r.method, true
	case "X-A":
		return r.header, r.header != ""
	}
	return "", false
}

// walk searches a matcher as Envoy does, and returns the name of the route.
func (r asked) walk(t *rapid.T, m *matcherv3.Matcher) string {
	if m == nil {
		return ""
	}
	for _, f := range m.GetMatcherList().GetMatchers() {
		if r.holds(t, f.GetPredicate()) {
			if found := r.take(t, f.GetOnMatch()); found != "" {
				return found
			}
		}
	}
	if tree := m.GetMatcherTree(); tree != nil {
		value, _ := r.input(inputName(t, tree.GetInput().GetTypedConfig().GetValue()))
		if under, ok := tree.GetExactMatchMap().GetMap()[value]; ok {
			if found := r.take(t, under); found != "" {
				return found
			}
		}
		for end := len(value); end > 0; end-- { // the longest prefix first
			if under, ok := tree.GetPrefixMatchMap().GetMap()[value[:end]]; ok {
				if found := r.take(t, under); found != "" {
					return found
				}
			}
		}
	}
	return r.take(t, m.GetOnNoMatch())
}

// take is what becomes of a match: another search, or an action, which ends it.
func (r asked) take(t *rapid.T, on *matcherv3.Matcher_OnMatch) string {
	if on.GetAction() == nil {
		return r.walk(t, on.GetMatcher())
	}
	list := &routev3.RouteList{}
	if packed := on.GetAction().GetTypedConfig(); packed.MessageIs(list) {
		if err := packed.UnmarshalTo(list); err != nil {
			t.Fatal(err)
		}
	} else {
		route := &routev3.Route{}
		if err := packed.UnmarshalTo(route); err != nil {
			t.Fatal(err)
		}
		list.Routes = []*routev3.Route{route}
	}
	for _, route := range list.GetRoutes() {
		if r.matches(route.GetMatch()) {
			return route.GetName()
		}
	}
	return "a bare 404"
}

func (r asked) holds(t *rapid.T, p *predicate) bool {
	switch m := p.GetMatchType().(type) {
	case *matcherv3.Matcher_MatcherList_Predicate_AndMatcher:
		return !slices.ContainsFunc(m.AndMatcher.GetPredicate(), func(p *predicate) bool { return !r.holds(t, p) })
	case *matcherv3.Matcher_MatcherList_Predicate_OrMatcher:
		return slices.ContainsFunc(m.OrMatcher.GetPredicate(), func(p *predicate) bool { return r.holds(t, p) })
	case *matcherv3.Matcher_MatcherList_Predicate_NotMatcher:
		return !r.holds(t, m.NotMatcher)
	}
	single := p.GetSinglePredicate()
	value, there := r.input(inputName(t, single.GetInput().GetTypedConfig().GetValue()))
	v := single.GetValueMatch()
	switch {
	case !there:
		return false
	case v.GetPrefix() != "":
		return strings.HasPrefix(value, v.GetPrefix())
	case v.GetSuffix() != "":
		return strings.HasSuffix(value, v.GetSuffix())
	case v.GetSafeRegex() != nil:
		return fitsWhole(v.GetSafeRegex().GetRegex(), value)
	default:
		return value == v.GetExact()
	}
}

func inputName(t *rapid.T, packed []byte) string {
	var in inputv3.HttpRequestHeaderMatchInput
	if err := proto.Unmarshal(packed, &in); err != nil {
		t.Fatal(err)
	}
	return in.GetHeaderName()
}

func fitsWhole(regex, value string) bool {
	return regexp.MustCompile(`^(?:` + strings.ReplaceAll(regex, `\C`, `(?s:.)`) + `)$`).MatchString(value)
}

// matches is a route's own condition, as Envoy reads it.
func (r asked) matches(m *routev3.RouteMatch) bool {
	for _, h := range m.GetHeaders() {
		value, there := r.input(h.GetName())
		if !stringFits(h.GetStringMatch(), h.GetPresentMatch(), value, there) {
			return false
		}
	}
	for _, q := range m.GetQueryParameters() {
		if !stringFits(q.GetStringMatch(), q.GetPresentMatch(), r.query, r.query != "") {
			return false
		}
	}
	switch p := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Path:
		return r.path == p.Path
	case *routev3.RouteMatch_PathSeparatedPrefix:
		return r.path == p.PathSeparatedPrefix || strings.HasPrefix(r.path, p.PathSeparatedPrefix+"/")
	case *routev3.RouteMatch_SafeRegex:
		return fitsWhole(p.SafeRegex.GetRegex(), r.path)
	default:
		return strings.HasPrefix(r.path, m.GetPrefix())
	}
}

func stringFits(m *inputv3.StringMatcher, present bool, value string, there bool) bool {
	switch {
	case m == nil:
		return present == there
	case !there:
		return false
	case m.GetPrefix() != "":
		return strings.HasPrefix(value, m.GetPrefix())
	case m.GetSafeRegex() != nil:
		return fitsWhole(m.GetSafeRegex().GetRegex(), value)
	default:
		return value == m.GetExact()
	}
}

// TestTablesAreOfferedAsTheyAre: what the caches encode is the table, and its
// version is the one that an Envoy acknowledges.
func TestTablesAreOfferedAsTheyAre(t *testing.T) {
	table := &routev3.RouteConfiguration{
		Name:                   "routes-service",
		VirtualHosts:           []*routev3.VirtualHost{{Name: "*", Domains: []string{"*"}, Matcher: listed(&matcherv3.Matcher_MatcherList{Matchers: refusals("*", Decision{})}, takes(notFound(Decision{})))}},
		RequestHeadersToRemove: []string{pathHeader},
	}
	r := newResource(resource.RouteType, table.GetName(), table, nil)
	if r.err != nil {
		t.Fatal(r.err)
	}
	if r.packed == nil {
		t.Fatal("the table is encoded at every turn")
	}
	if got, want := contentHash(r.offered()), r.Version; got != want {
		t.Errorf("offered as version %s, wanted as %s", got, want)
	}
	again := &routev3.RouteConfiguration{}
	if err := proto.Unmarshal(encoded(r.offered()), again); err != nil || !proto.Equal(again, table) {
		t.Errorf("what is offered is another table (%v)", err)
	}
	if name := r.offered().(*routev3.RouteConfiguration).GetName(); name != table.GetName() {
		t.Errorf("offered by the name %q", name)
	}
}
