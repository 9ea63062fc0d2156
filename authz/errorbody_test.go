package authz

import (
	"testing"

	"github.com/gatewright/gatewright/config"
)

// TestErrorBodiesAreEncoded: what a denial says stays text in every kind of body.
func TestErrorBodiesAreEncoded(t *testing.T) {
	t.Parallel()
	const detail = "a \"<b>\" & \\ \x01"
	for contentType, want := range map[string]string{
		"text/html; charset=utf-8": `403 a &#34;&lt;b&gt;&#34; &amp; \ ` + "\x01" + ` &lt;id&gt;`,
		"application/json":         `403 a \"\u003cb\u003e\" \u0026 \\ \u0001 \u003cid\u003e`,
		"application/vnd.x+json":   `403 a \"\u003cb\u003e\" \u0026 \\ \u0001 \u003cid\u003e`,
		"text/plain":               `403 ` + detail + ` <id>`,
	} {
		v := Verdict{Reason: ReasonScopeMissing, Detail: detail, requestID: "<id>", body: &config.ErrorBody{ContentType: contentType, Body: "${status} ${detail} ${request_id}"}}
		_, p := problemOf(v.Reason)
		if got, kind := denialBody(v, v.Reason, p); got != want || kind != contentType {
			t.Errorf("%s: %s %q, want %q", contentType, kind, got, want)
		}
	}
}

// TestErrorBodyForWhom: the first that fits; none for calls, and none for what passes.
func TestErrorBodyForWhom(t *testing.T) {
	t.Parallel()
	page := &config.ErrorBody{Status: []config.StatusRange{{From: 400, To: 499}}, Accept: "text/html", ContentType: "text/html", Body: "x"}
	rest := &config.ErrorBody{Status: []config.StatusRange{{From: 401, To: 401}}, ContentType: "text/plain", Body: "y"}
	bodies := []*config.ErrorBody{page, rest}
	for _, c := range []struct {
		reason      Reason
		accept, typ string
		want        *config.ErrorBody
	}{
		{ReasonCredentialMissing, "text/html", "", page},
		{ReasonCredentialMissing, "application/json, TEXT/HTML ; level=1; q=0.5, */*", "", page},
		{ReasonCredentialMissing, "text/html;q=0", "", rest},
		{ReasonCredentialMissing, "text/html;q=0.000", "", rest},
		{ReasonCredentialMissing, "text/htmlx, x-text/html", "", rest},
		{ReasonCredentialMissing, "", "", rest},
		{ReasonCredentialMissing, "text/html", "application/grpc+proto", nil},
		{ReasonScopeMissing, "*/*", "", nil},
		{ReasonInternal, "text/html", "", nil},
		{ReasonAllowed, "text/html", "", nil},
	} {
		rq := &request{lines: []headerLine{{"accept", c.accept}, {"content-type", c.typ}}}
		if got := (Verdict{Reason: c.reason}).inOwnBody(rq, bodies).body; got != c.want {
			t.Errorf("%s for %q %q: %+v", c.reason, c.accept, c.typ, got)
		}
	}
}
