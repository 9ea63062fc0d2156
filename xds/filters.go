package xds

import (
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	ratelimitconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/ratelimit/v3"
	filterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ratelimit/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	setfilterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gatewright/gatewright/config"
)

// The clusters, given in Envoy's bootstrap, at which Gatewright itself is
// reached. Config names cannot begin like them. They are two, so that Envoy has
// connections of their own for each: those that carry nothing but the calls that
// a request waits for are served at a fraction of the price (package unary). So are
// access logs: each of Envoy's threads has its own connections, and config is of the
// main thread, which has no requests.
const (
	// ControlCluster is for streams: config and access logs.
	ControlCluster = "gatewright"
	// CallCluster is for Check and ShouldRateLimit.
	CallCluster = "gatewright-calls"
)

// RateLimitDomain is the domain of Gatewright's own descriptors.
const RateLimitDomain = "gatewright"

// The names of the HTTP filters, which are also the keys of their per-route
// settings and of the metadata they write.
const (
	corsFilter      = "envoy.filters.http.cors"
	extAuthzFilter  = "envoy.filters.http.ext_authz"
	rateLimitFilter = "envoy.filters.http.ratelimit"
	routerFilter    = "envoy.filters.http.router"

	filterStateFilter = "envoy.filters.http.set_filter_state"
)

// clientPathState and clientMethodState are where clientRequest keeps them.
const (
	clientPathState   = "gatewright.path"
	clientMethodState = "gatewright.method"
)

// controlTimeout bounds a call of a filter to Gatewright. It is a bound for
// disaster: Gatewright itself keeps far shorter ones towards its stores.
const controlTimeout = time.Second

// httpFilters is the filter chain of a listener, in the order in which a
// request meets it. It depends on the listener alone, never on the routes:
// routes and listeners reach an Envoy one after the other, and a chain that got
// its judge with the first protected route would, between the two, either let
// that route's requests pass or refuse everybody else's. A route that needs no
// call switches the filter off.
//
// The first filter answers preflights, which carry no credential to judge, and
// tells browsers who may read an answer, a denial included.
//
// What turns gRPC-Web into gRPC comes before all that denies, so that a denial is an
// answer of gRPC, and meets it on its way back. The bound of bodies comes before the
// judge, too: what says that it is too long costs no judgement.
//
// Those that let requests pass without the judge stand right in front of it. They come
// with the first route whose policy runs inside Envoy; a connection that is without them
// has the judge asked. The limits that run inside Envoy stand right behind it: what is
// denied is not counted.
//
// Those that bound the requests at once of a backend come last: what is denied before
// is no load of the backend's, and the time that a judgement takes none of its own.
//
// A route's own filters come behind all judges, so that what is denied is neither
// unpacked nor rewritten, and they can use what the judge has found out. See
// routefilters.go.
//
// The filter that remembers the path is there where some route rewrites one. It
// decides nothing, so it may come and go with the routes.
//
// Where networks are believed, the one that says who the client is goes before all
// that could look at it.
//
// Those that make calls of gRPC of requests come behind all that judges, counts and
// logs by what a client has sent.
func (b builder) httpFilters(l *config.Listener, p peerKind) []*hcmv3.HttpFilter {
	chain := misdirected(l)
	if len(p.networks) > 0 {
		chain = append(chain, clientAddress())
	}
	if b.form == Scoped {
		chain = append(chain, otherScope())
	}
	chain = append(chain, b.corsFilter())
	if b.rewritesPaths() {
		chain = append(chain, httpFilter(filterStateFilter, b.clientRequest()))
	}
	chain = append(chain, b.grpcWebFilters()...)
	chain = append(chain, bodyBound(l)...)
	chain = append(chain, b.placedFilters(l)...)
	chain = append(chain, httpFilter(extAuthzFilter, b.extAuthz(l)))
	chain = append(chain, b.callerFilters(l)...)
	chain = append(chain, b.limitFilters(l)...)
	chain = append(chain, b.credentialFilters(l)...)
	if placementOf(l) == config.RateLimitFilter {
		chain = append(chain, httpFilter(rateLimitFilter, rateLimit()))
	}
	chain = append(chain, b.adaptiveFilters()...)
	chain = append(chain, b.routeFilterHolders()...)
	chain = append(chain, b.transcoders()...)
	return append(chain, httpFilter(routerFilter, &routerv3.Router{SuppressEnvoyHeaders: true}))
}

// corsFilter is off but for routes with a policy, which switches it on. Where a request
// may find its route in a second attempt that would be too late.
func (b builder) corsFilter() *hcmv3.HttpFilter {
	f := httpFilter(corsFilter, &corsv3.Cors{})
	f.Disabled = !b.looksAgain
	return f
}

// rewritesPaths tells whether some backend sees another path than the client's.
func (b builder) rewritesPaths() bool {
	return slices.ContainsFunc(b.config.Routes, func(r *config.Route) bool {
		return r.Rewrite != nil && r.Rewrite.Path != "" || r.GRPCTranscode != nil
	})
}

// clientRequest keeps the path that the client asked for, for the access log: when
// a request is logged, its own is what the backend saw. Where requests become calls,
// which are all POST, it keeps the method, too.
func (b builder) clientRequest() *setfilterstatev3.Config {
	kept := []*filterstatev3.FilterStateValue{filterState(clientPathState, "%PATH(NQ:PATH)%")}
	if b.transcodes() {
		kept = append(kept, filterState(clientMethodState, "%REQ(:METHOD)%"))
	}
	return &setfilterstatev3.Config{OnRequestHeaders: kept}
}

// filterState is a text that is kept under a name.
func filterState(name, format string) *filterstatev3.FilterStateValue {
	return &filterstatev3.FilterStateValue{
		Key:        &filterstatev3.FilterStateValue_ObjectKey{ObjectKey: name},
		FactoryKey: "envoy.string",
		Value: &filterstatev3.FilterStateValue_FormatString{FormatString: &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineString{InlineString: format},
			}},
		}},
	}
}

// extAuthz asks Gatewright's Check. Whatever goes wrong on the way is a 503,
// never a pass.
func (b builder) extAuthz(l *config.Listener) *extauthzv3.ExtAuthz {
	filter := &extauthzv3.ExtAuthz{
		Services: &extauthzv3.ExtAuthz_GrpcService{
			GrpcService: callService(controlTimeout),
		},
		TransportApiVersion: corev3.ApiVersion_V3,
		FailureModeAllow:    false,
		StatusOnError:       &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		// A header that Check sets wrongly fails the request instead of
		// reaching a backend.
		ValidateMutations: true,
		// Bytes as they came, and each of a repeated header: the judge must
		// see what the backend would see.
		EncodeRawHeaders: true,
		// The certificate as a whole, which Envoy has verified: of the names in it
		// Envoy itself would tell one.
		IncludePeerCertificate: asksClients(l),
		FilterEnabledMetadata:  b.unlessPlaced(l),
	}
	// Envoy looks for a route once more where Check says which. It does so, too,
	// where Check takes a parameter out of the query: see Decision.Holds.
	if b.config.Reroutes() {
		filter.ClearRouteCache = true
		filter.ClearRouteCacheHeaders = []string{config.RerouteHeader}
	}
	return filter
}

// rateLimit asks Gatewright's RateLimitService, for listeners that choose
// Envoy's own filter. A call that fails denies: by default it would pass
// uncounted, and a client can make it fail with bytes that are not UTF-8.
func rateLimit() *ratelimitv3.RateLimit {
	return &ratelimitv3.RateLimit{
		Domain:                         RateLimitDomain,
		Timeout:                        durationpb.New(controlTimeout),
		FailureModeDeny:                true,
		StatusOnError:                  &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		DisableXEnvoyRatelimitedHeader: true,
		RateLimitedAsResourceExhausted: true,
		RateLimitService: &ratelimitconfigv3.RateLimitServiceConfig{
			GrpcService:         callService(0),
			TransportApiVersion: corev3.ApiVersion_V3,
		},
	}
}

// controlService reaches Gatewright over the bootstrap's cluster for streams.
func controlService() *corev3.GrpcService { return serviceAt(ControlCluster) }

func serviceAt(cluster string) *corev3.GrpcService {
	return &corev3.GrpcService{
		TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: cluster}},
	}
}

// callService reaches it over the one for calls. No timeout (0) leaves it to
// the filter.
func callService(timeout time.Duration) *corev3.GrpcService {
	s := serviceAt(CallCluster)
	if timeout > 0 {
		s.Timeout = durationpb.New(timeout)
	}
	return s
}

func httpFilter(name string, m proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{
		Name:       name,
		ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: mustAny(m)},
	}
}
