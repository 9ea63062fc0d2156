package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gatewright/gatewright/config"
)

// A client is kept on its endpoint by Envoy's ring. The ring has each endpoint at many
// points, which are the hashes of KEY_0, KEY_1 and so on, with the key that the endpoint
// has. A request goes to the endpoint whose point is the first one at or
// behind the hash of its cookie. So a cookie KEY_0 leads to the endpoint with that key,
// exactly, whatever else is on the ring: endpoints may come and go, and none of the
// clients of the others moves. When the endpoint goes, or is unhealthy, its points are
// off the ring, the next one takes the client, and says its own KEY_0.
//
// Envoy's filter for this, stateful_session, has the address of the endpoint in the
// cookie: it shows clients how the network behind the gateway is laid out, and lets
// them choose any endpoint by writing its address.

// affinityHash hashes the cookie; it may be absent, and then chance decides.
func affinityHash(cookie string) *routev3.RouteAction_HashPolicy {
	return &routev3.RouteAction_HashPolicy{PolicySpecifier: &routev3.RouteAction_HashPolicy_Cookie_{
		Cookie: &routev3.RouteAction_HashPolicy_Cookie{Name: cookie},
	}}
}

// ownMetadata is where Gatewright's own words about an endpoint are, and cookieField the
// cookie that leads to it.
const (
	ownMetadata = "gatewright"
	cookieField = "cookie"
)

// affinityMetadata places an endpoint on the ring by a key that does not show its
// address, and has the cookie that leads to it.
func affinityMetadata(backend *config.Backend, e *config.Endpoint) *corev3.Metadata {
	sum := sha256.Sum256([]byte(backend.Name + " " + e.Address))
	key := hex.EncodeToString(sum[:12])
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
		"envoy.lb":  texts("hash_key", key), // where Envoy looks for it
		ownMetadata: texts(cookieField, backend.AffinityCookie()+"="+key+"_0"+cookieAttributes(backend.SessionAffinity)),
	}}
}

func texts(name, value string) *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{name: structpb.NewStringValue(value)}}
}

// affinityCookie has the answers of a backend lead back to the endpoint that they come
// from, where clients are kept on one. An answer that comes from none has no cookie:
// of a header without a value Envoy sends nothing.
func (b builder) affinityCookie(backend string) []*corev3.HeaderValueOption {
	if b.config.Backends[backend].AffinityCookie() == "" {
		return nil
	}
	return []*corev3.HeaderValueOption{{
		Header:       &corev3.HeaderValue{Key: "Set-Cookie", Value: "%UPSTREAM_METADATA(" + ownMetadata + ":" + cookieField + ")%"},
		AppendAction: corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD,
	}}
}

// cookieAttributes are those of RFC 6265, section 4.1.1, and SameSite.
func cookieAttributes(a *config.SessionAffinity) string {
	path := a.Path
	if path == "" {
		path = "/"
	}
	out := "; Path=" + path
	if a.TTL != 0 {
		out += fmt.Sprintf("; Max-Age=%d", time.Duration(a.TTL)/time.Second)
	}
	if a.IsSecure() {
		out += "; Secure"
	}
	if a.IsHTTPOnly() {
		out += "; HttpOnly"
	}
	return out + "; SameSite=" + sameSite(a.SameSite)
}

func sameSite(s config.SameSite) string {
	switch s {
	case config.SameSiteStrict:
		return "Strict"
	case config.SameSiteNone:
		return "None"
	default:
		return "Lax"
	}
}

// affinities are the names of the backends that keep clients on an endpoint, in order,
// with spaces between them.
func affinities(c *config.Config) string {
	var names []string
	for _, name := range sortedKeys(c.Backends) {
		if c.Backends[name].SessionAffinity != nil {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}
