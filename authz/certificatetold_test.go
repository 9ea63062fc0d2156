package authz

import (
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// remembering is a request whose Envoy remembers what it is told of certificates.
func remembering(m *authv3.CheckRequest) *authv3.CheckRequest {
	m.Attributes.ContextExtensions["remembers"] = "true"
	return m
}

// TestWhatEnvoyIsToldOfACertificate: until when it is good, and what the backend is told;
// where an Envoy remembers, and of requests alone that pass by the certificate.
func TestWhatEnvoyIsToldOfACertificate(t *testing.T) {
	t.Parallel()
	ca, now := testenv.NewCA(t), time.Now()
	end := now.Add(time.Minute).Truncate(time.Second)
	g := newGate(t, keySetsFor(t, mainJWT()), func(o *Options) { o.Clock = func() time.Time { return now } })
	partners := byCertificate(partnersCertificate())
	silent := byCertificate(&config.ClientCertificate{Name: "silent", User: config.PartDNSName})
	before := g.publish(&Policy{AnyOf: []Requirement{partners, {JWT: mainJWT()}}})
	behind := g.publish(&Policy{AnyOf: []Requirement{{JWT: mainJWT()}, partners}})
	shadow := g.publish(&Policy{Shadow: []Requirement{partners}})
	quiet := g.publish(&Policy{AnyOf: []Requirement{silent}})
	shown := certificateText(t, ca, testenv.Leaf{DNS: []string{"a.partners.example.com"}, NotAfter: end})
	stranger := certificateText(t, ca, testenv.Leaf{DNS: []string{"x.example.org"}, NotAfter: end})
	token := withToken(rsaSigner().token(map[string]any{"exp": now.Add(time.Hour).Unix(), "iat": now.Unix()}))
	told := map[string]any{"expires": float64(end.Unix()), "headers": map[string]any{"x-partner": "a.partners.example.com", "x-tenant-id": "globex"}}
	for name, c := range map[string]struct {
		request *authv3.CheckRequest
		want    map[string]any
	}{
		"one that passes":        {remembering(withCertificate(ask(before, "/"), shown)), told},
		"an Envoy that does not": {withCertificate(ask(before, "/"), shown), nil},
		"before a token":         {remembering(withCertificate(ask(before, "/", token), shown)), told},
		"behind a token":         {remembering(withCertificate(ask(behind, "/", token), shown)), nil},
		"behind none":            {remembering(withCertificate(ask(behind, "/"), shown)), told},
		"a token alone":          {remembering(ask(before, "/", token)), nil},
		"in shadow":              {remembering(withCertificate(ask(shadow, "/"), shown)), told},
		"refused in shadow":      {remembering(withCertificate(ask(shadow, "/"), stranger)), nil},
		"refused":                {remembering(withCertificate(ask(before, "/"), stranger)), nil},
		"no headers":             {remembering(withCertificate(ask(quiet, "/"), shown)), map[string]any{"expires": float64(end.Unix())}},
	} {
		got := g.check(t, c.request).GetDynamicMetadata().GetFields()["certificate"]
		var want *structpb.Value
		if c.want != nil {
			want = must(structpb.NewValue(c.want))
		}
		if got.String() != want.String() {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
