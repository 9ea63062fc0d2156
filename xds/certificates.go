package xds

import (
	_ "embed"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	mtlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/rbac/principals/mtls_authenticated/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gatewright/gatewright/config"
)

// Whom a client's certificate names is nothing that Envoy's filters could find out: they
// read certificates that Check does not, take apart no subject, and do not know when one
// expires on a connection that is open. But it need not be found out twice. What Check has
// made of a certificate, by a policy, it makes of it every time until that expires: so each
// thread of an Envoy remembers it, by the policy's hash and the certificate's, and lets
// requests pass that show that certificate to that policy, and nothing else. Those that
// it has not seen, or that the policy does not take, are asked about. See
// docs/decisions/0045.
//
// That Check judges the certificate anew costs nothing else: that an authority of the
// listener vouches for it, that it is for clients, and that it has not been revoked is
// of the handshake, whoever judges.

const (
	certificateFilter = "gatewright.certificate"
	// certificateCaller is the key, in the metadata of that name, of whom the certificate
	// names: the policy that has been asked, and the user and tenant.
	certificateCaller = "caller"
)

//go:embed certificates.lua
var certificateScript string

// certificateFilters are the filter that remembers, in front of the one that lets pass,
// where clients are asked for certificates. It is off but for routes that say so.
func (b builder) certificateFilters(l *config.Listener) []*hcmv3.HttpFilter {
	if !asksClients(l) || !b.takesCertificates() {
		return nil
	}
	return []*hcmv3.HttpFilter{disabled(httpFilter(certificateFilter, &luav3.Lua{
		DefaultSourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: certificateScript}},
		ClearRouteCache:   wrapperspb.Bool(false), // the headers that it sets choose no route
		SharedVmId:        certificateFilter,      // a listener that changes forgets nothing
	}))}
}

// takesCertificates tells whether some policy that runs inside Envoy does.
func (b builder) takesCertificates() bool {
	return slices.ContainsFunc(b.policies.Placed, func(p *PlacedPolicy) bool { return p.Certificates })
}

// remembersCertificates tells Check, and the filter, that what is told of certificates of
// a route's callers is remembered.
func (p *PlacedPolicy) remembersCertificates() bool { return p != nil && p.Certificates }

// underCertificates has certificates remembered that are shown to the route.
func underCertificates(route *routev3.Route, p *PlacedPolicy) {
	if !p.remembersCertificates() {
		return
	}
	absent := &structpb.ListValue{}
	for _, name := range p.besideCertificate() {
		absent.Values = append(absent.Values, structpb.NewStringValue(name))
	}
	route.TypedPerFilterConfig[certificateFilter] = mustAny(&luav3.LuaPerRoute{FilterContext: &structpb.Struct{Fields: map[string]*structpb.Value{
		"policy": structpb.NewStringValue(p.Hash), "absent": structpb.NewListValue(absent),
	}}})
}

// besideCertificate are the headers of the other credentials that a policy takes: who
// shows one beside a certificate is asked about.
func (p *PlacedPolicy) besideCertificate() []string {
	if len(p.Callers) == 0 {
		return p.Absent
	}
	return append(slices.Clone(p.Absent), "authorization")
}

// certificateRules are the rule by which a policy lets requests pass whose certificate is
// remembered; none where it takes no certificates.
func certificateRules(p *PlacedPolicy) map[string]*rbacv3.Policy {
	if !p.remembersCertificates() {
		return nil
	}
	var all []*rbacv3.Principal
	for _, name := range p.besideCertificate() {
		all = append(all, isNot(ofHeader(present(name))))
	}
	all = append(all, withCertificate(), ofMetadata(metadataMatcher(exactValue(p.Hash), certificateFilter, certificateCaller, "policy")))
	return map[string]*rbacv3.Policy{p.Hash + ".certificate": {
		Permissions: []*rbacv3.Permission{ofRoute(metadataMatcher(exactValue(p.Hash), routeMetadata, metadataPlace))},
		Principals:  []*rbacv3.Principal{allPrincipals(all)},
	}}
}

// withCertificate is the condition that the client has shown a certificate that the
// listener's authorities vouch for.
func withCertificate() *rbacv3.Principal {
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_Custom{Custom: extension(
		"envoy.rbac.principals.mtls_authenticated", &mtlsv3.Config{AnyValidatedClientCertificate: true},
	)}}
}

// withoutCertificate is that a caller is not named by a certificate before its token is
// looked at.
func (c PlacedCaller) withoutCertificate() []*rbacv3.Principal {
	if !c.BehindCertificate {
		return nil
	}
	return []*rbacv3.Principal{isNot(withCertificate())}
}

// logCertificates has the log tell of callers whom certificates have named.
func (b builder) logCertificates(line map[string]string) {
	if !b.takesCertificates() {
		return
	}
	for field, state := range map[string]string{"user": callerUserState, "tenant": callerTenantState} {
		line[field] = firstOf("FILTER_STATE", state+":PLAIN", "DYNAMIC_METADATA", certificateFilter+":"+certificateCaller+":"+field)
	}
}
