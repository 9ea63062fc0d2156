package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gatewright/gatewright/internal/plan"
	"github.com/gatewright/gatewright/internal/testenv"
	"github.com/gatewright/gatewright/xds"
)

// alone is an Envoy without a control plane: it has the very listener that
// Gatewright gives, with its filters and logs, but its routes from a file. So it
// differs from a Gatewright's Envoy in the one thing that is compared.
type alone struct {
	*process
	addr string
	file string // of the route table
}

// startAlone starts one. It sends its logs to control, as the other does.
func (b *bench) startAlone(ctx context.Context, g *gateway, table *routev3.RouteConfiguration, control string) (*alone, error) {
	dir, err := b.folder()
	if err != nil {
		return nil, err
	}
	a := &alone{file: filepath.Join(dir, "routes.pb")}
	if a.addr, err = testenv.FreeAddr(); err != nil {
		return nil, err
	}
	if _, err := a.write(table); err != nil {
		return nil, err
	}
	listener, err := listenerWithFile(&gateway{address: a.addr, routes: g.routes[:1]}, a.file, table.GetName())
	if err != nil {
		return nil, err
	}
	a.process, err = b.startEnvoy(ctx, control, func(bootstrap *bootstrapv3.Bootstrap) {
		bootstrap.DynamicResources = nil
		bootstrap.ClusterManager = nil // whose cluster is served by a control plane
		bootstrap.StaticResources.Clusters = slices.DeleteFunc(bootstrap.StaticResources.Clusters, func(c *clusterv3.Cluster) bool { return c.GetName() == xds.EnvoysCluster })
		bootstrap.StaticResources.Listeners = []*listenerv3.Listener{listener}
	})
	return a, err
}

// write replaces the route table in one step, and says when it did. Envoy is
// told of it by the kernel.
func (a *alone) write(table *routev3.RouteConfiguration) (time.Time, error) {
	packed, err := anypb.New(table)
	if err != nil {
		return time.Time{}, fmt.Errorf("packing a route table: %w", err)
	}
	// Envoy tells the encoding of a file by its name.
	next := strings.TrimSuffix(a.file, ".pb") + ".next.pb"
	if err := writeMessage(next, &discoveryv3.DiscoveryResponse{TypeUrl: resource.RouteType, Resources: []*anypb.Any{packed}}); err != nil {
		return time.Time{}, err
	}
	at := time.Now()
	if err := os.Rename(next, a.file); err != nil {
		return at, fmt.Errorf("replacing a route table: %w", err)
	}
	return at, nil
}

// listenerWithFile is the gateway's listener, with its routes from a file.
func listenerWithFile(g *gateway, file, table string) (*listenerv3.Listener, error) {
	compiled, err := plan.Compile(g.config(), plan.Options{Form: xds.Table})
	if err != nil {
		return nil, err
	}
	listener := proto.Clone(compiled.Resources[resource.ListenerType]["public"].Message).(*listenerv3.Listener)
	packed := listener.GetFilterChains()[0].GetFilters()[0].GetTypedConfig()
	manager := &hcmv3.HttpConnectionManager{}
	if err := packed.UnmarshalTo(manager); err != nil {
		return nil, fmt.Errorf("reading the listener's connection manager: %w", err)
	}
	manager.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
		RouteConfigName: table,
		ConfigSource: &corev3.ConfigSource{
			ResourceApiVersion:    corev3.ApiVersion_V3,
			ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{Path: file}},
		},
	}}
	if err := packed.MarshalFrom(manager); err != nil {
		return nil, fmt.Errorf("packing the listener's connection manager: %w", err)
	}
	return listener, nil
}

// treeTable is the table that Gatewright makes of the routes of one host.
func treeTable(g *gateway) (*routev3.RouteConfiguration, error) {
	compiled, err := plan.Compile(g.config(), plan.Options{Form: xds.Table})
	if err != nil {
		return nil, err
	}
	for _, r := range compiled.Resources[resource.RouteType] {
		return r.Message.(*routev3.RouteConfiguration), nil
	}
	return nil, fmt.Errorf("the plan has no route table")
}

// listTable is what gateways on Envoy commonly make of them: a list, the most
// specific first, of exact paths, regular expressions and path prefixes.
func listTable(g *gateway) (*routev3.RouteConfiguration, error) {
	unjudged, err := anypb.New(&extauthzv3.ExtAuthzPerRoute{Override: &extauthzv3.ExtAuthzPerRoute_Disabled{Disabled: true}})
	if err != nil {
		return nil, fmt.Errorf("packing a route's filter settings: %w", err)
	}
	host := &routev3.VirtualHost{
		Name:                 "all",
		Domains:              []string{"*"},
		TypedPerFilterConfig: map[string]*anypb.Any{"envoy.filters.http.ext_authz": unjudged},
	}
	for _, r := range g.config().RoutesBySpecificity() {
		host.Routes = append(host.Routes, &routev3.Route{
			Name:  r.Name,
			Match: listMatch(r.Match.Path),
			Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
				Status: uint32(r.Respond.Status),
				Body:   &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: r.Respond.Body}},
			}},
		})
	}
	return &routev3.RouteConfiguration{Name: "list", VirtualHosts: []*routev3.VirtualHost{host}}, nil
}

func listMatch(path string) *routev3.RouteMatch {
	if prefix, found := strings.CutSuffix(path, "/**"); found {
		return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: prefix}}
	}
	if !variable.MatchString(path) {
		return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: path}}
	}
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{
		Regex: variable.ReplaceAllString(path, "[^/]+"),
	}}}
}

// pathTreeTable is a matcher tree in the form that Envoy's documentation knows:
// a map of prefixes of :path, with a route and its own condition behind each.
// Since :path holds the query, an exact path is under two of them.
func pathTreeTable(g *gateway) (*routev3.RouteConfiguration, error) {
	table, err := listTable(g)
	if err != nil {
		return nil, err
	}
	input, err := anypb.New(&matcherv3.HttpRequestHeaderMatchInput{HeaderName: ":path"})
	if err != nil {
		return nil, fmt.Errorf("packing a matcher's input: %w", err)
	}
	host := table.GetVirtualHosts()[0]
	under := map[string]*xdsmatcherv3.Matcher_OnMatch{}
	for _, r := range host.GetRoutes() {
		packed, err := anypb.New(r)
		if err != nil {
			return nil, fmt.Errorf("packing a route: %w", err)
		}
		found := &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Action{
			Action: &xdscorev3.TypedExtensionConfig{Name: "route", TypedConfig: packed},
		}}
		if path := r.GetMatch().GetPath(); path != "" {
			under[path], under[path+"?"] = found, found
			continue
		}
		regex, _, _ := strings.Cut(r.GetMatch().GetSafeRegex().GetRegex(), "[")
		under[cmp.Or(regex, r.GetMatch().GetPathSeparatedPrefix())] = found
	}
	host.Routes = nil
	host.Matcher = &xdsmatcherv3.Matcher{MatcherType: &xdsmatcherv3.Matcher_MatcherTree_{MatcherTree: &xdsmatcherv3.Matcher_MatcherTree{
		Input: &xdscorev3.TypedExtensionConfig{Name: "path", TypedConfig: input},
		TreeType: &xdsmatcherv3.Matcher_MatcherTree_PrefixMatchMap{
			PrefixMatchMap: &xdsmatcherv3.Matcher_MatcherTree_MatchMap{Map: under},
		},
	}}}
	return table, nil
}
