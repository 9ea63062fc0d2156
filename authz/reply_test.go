package authz

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
)

// anyVerdict draws verdicts with anything in them, hostile bytes above all.
func anyVerdict(reasons *rapid.Generator[Reason]) *rapid.Generator[Verdict] {
	text := rapid.Custom(func(t *rapid.T) string {
		return rapid.OneOf(rapid.String(), rapid.Just("\xff\r\n\x00"), rapid.Just("")).Draw(t, "text")
	})
	return rapid.Custom(func(t *rapid.T) Verdict {
		return Verdict{
			Reason:    reasons.Draw(t, "reason"),
			Detail:    text.Draw(t, "detail"),
			Policy:    text.Draw(t, "policy"),
			Challenge: text.Draw(t, "challenge"),
			Identity:  Identity{Provider: text.Draw(t, "provider"), User: text.Draw(t, "user"), Tenant: text.Draw(t, "tenant"), KeyID: text.Draw(t, "key")},
			Limits: LimitResult{
				Allowed: rapid.Bool().Draw(t, "allowed"), StoreDown: rapid.Bool().Draw(t, "down"), Limit: text.Draw(t, "limit"),
				Capacity: rapid.Int64().Draw(t, "capacity"), Remaining: rapid.Int64().Draw(t, "remaining"),
				RetryAfter: time.Duration(rapid.Int64().Draw(t, "retry")), ResetAfter: time.Duration(rapid.Int64().Draw(t, "reset")),
			},
			Admission: Admission{
				Denied: rapid.Bool().Draw(t, "open"), Shadow: rapid.Bool().Draw(t, "shadow"),
				RetryAfter: time.Duration(rapid.Int64().Draw(t, "reopens")), Probe: text.Draw(t, "probe"),
			},
			Backend:    text.Draw(t, "backend"),
			LimitKeys:  rapid.MapOfN(text, text, 0, 3).Draw(t, "keys"),
			LimitPlans: rapid.MapOfN(text, text, 0, 3).Draw(t, "plans"),
			plan:       text.Draw(t, "plan"),
			headers:    []header{{"x-user-id", text.Draw(t, "header")}},
		}
	})
}

// A response allows in Envoy's eyes if and only if the verdict's reason is
// "allowed"; and whatever is in a verdict, its response can be sent.
func TestOnlyAllowedAllows(t *testing.T) {
	known := []Reason{"", ReasonAllowed, "Allowed", "allowed ", "ok"}
	for reason := range problems {
		known = append(known, reason)
	}
	reasons := rapid.OneOf(rapid.SampledFrom(known), rapid.Map(rapid.String(), func(s string) Reason { return Reason(s) }))
	rapid.Check(t, func(t *rapid.T) {
		v := anyVerdict(reasons).Draw(t, "verdict")
		r := reply(v)
		if got, want := allows(r), v.Reason == ReasonAllowed; got != want {
			t.Fatalf("%q: allows %t, want %t", v.Reason, got, want)
		}
		data, err := proto.Marshal(r)
		if err != nil {
			t.Fatalf("cannot be sent: %v", err)
		}
		var back authv3.CheckResponse
		if err := proto.Unmarshal(data, &back); err != nil || !proto.Equal(r, &back) {
			t.Fatalf("does not survive the wire: %v", err)
		}
		if allows(r) {
			return
		}
		if status := statusOf(r); status < 400 || status > 599 {
			t.Fatalf("%q is answered with %d", v.Reason, status)
		}
		if r.GetOkResponse() != nil || !json.Valid([]byte(r.GetDeniedResponse().GetBody())) {
			t.Fatalf("%q: %v", v.Reason, r)
		}
	})
}

func TestZeroVerdictDenies(t *testing.T) {
	r := reply(Verdict{})
	if allows(r) || statusOf(r) != 500 || reasonOf(r) != ReasonInternal || codes.Code(r.GetStatus().GetCode()) != codes.Internal {
		t.Errorf("the zero verdict becomes %v", r)
	}
	// This is why replies are built in one place.
	if !allows(&authv3.CheckResponse{}) {
		t.Error("the test does not judge as Envoy does")
	}
}

// Every reason has its entry, its status and its words; the words are stable.
func TestProblemOfEveryReason(t *testing.T) {
	byStatus := map[int][]Reason{
		400: {"duplicate-credential", "duplicate-header", "malformed-header", "malformed-query", "path-refused", "host-refused", "request-invalid"},
		401: {"credential-missing", "token-malformed", "token-header-not-allowed", "token-alg-not-allowed", "token-key-unknown",
			"token-signature-invalid", "token-claims-invalid", "token-issuer-mismatch", "token-audience-mismatch", "token-expired",
			"token-not-yet-valid", "token-inactive", "token-revoked", "api-key-invalid", "api-key-revoked", "api-key-expired",
			"token-binding-mismatch", "client-certificate-invalid", "client-certificate-expired"},
		403: {"scope-missing", "role-missing", "claim-missing", "claim-mismatch", "rule-denied", "rule-failed", "permission-missing", "identity-mismatch", "client-certificate-not-accepted"},
		404: {"route-not-found"},
		405: {"method-refused"},
		413: {"body-too-large"},
		429: {"rate-limited"},
		503: {"circuit-open", "jwks-unavailable", "introspection-unavailable", "key-store-unavailable", "revocations-unavailable", "limit-store-unavailable", "policy-unknown", "deadline-exceeded", "internal", "body-unknown"},
	}
	grpcCodes := map[int]codes.Code{400: codes.InvalidArgument, 401: codes.Unauthenticated, 403: codes.PermissionDenied, 404: codes.NotFound, 405: codes.Unimplemented,
		413: codes.ResourceExhausted, 429: codes.ResourceExhausted, 503: codes.Unavailable}
	n := 1 // challenge-answered, which is no denial to who asks: TestChallenges
	for status, reasons := range byStatus {
		for _, reason := range reasons {
			n++
			r := reply(Verdict{Reason: reason})
			var body map[string]any
			if err := json.Unmarshal([]byte(r.GetDeniedResponse().GetBody()), &body); err != nil {
				t.Fatal(err)
			}
			if statusOf(r) != status || body["status"] != float64(status) || body["reason"] != string(reason) ||
				body["type"] != "urn:gatewright:problem:"+string(reason) || body["title"] == "" || body["detail"] == "" || len(body) != 5 {
				t.Errorf("%s: %d %v", reason, statusOf(r), body)
			}
			if deniedHeader(r, "content-type") != "application/problem+json" || deniedHeader(r, "cache-control") != "no-store" {
				t.Errorf("%s: headers %v", reason, r.GetDeniedResponse().GetHeaders())
			}
			if codes.Code(r.GetStatus().GetCode()) != grpcCodes[status] || reasonOf(r) != reason {
				t.Errorf("%s: gRPC status %v, reason %s", reason, r.GetStatus(), reasonOf(r))
			}
		}
	}
	if n != len(problems) {
		t.Errorf("%d reasons in this test, %d in the program", n, len(problems))
	}
}

func TestRateLimitHeaders(t *testing.T) {
	limited := func(retry, reset time.Duration, remaining int64) Verdict {
		return Verdict{Reason: ReasonRateLimited, Limits: LimitResult{
			Limit: "per-user", Capacity: 20, Remaining: remaining, RetryAfter: retry, ResetAfter: reset}}
	}
	for _, c := range []struct {
		retry, reset          time.Duration
		wantRetry, wantReset  string
		remaining             int64
		wantRemaining, wantOK string
	}{
		{0, 0, "1", "0", 0, "0", "20"},
		{time.Millisecond, time.Nanosecond, "1", "1", 0, "0", "20"},
		{time.Second, 2 * time.Second, "1", "2", 0, "0", "20"},
		{1001 * time.Millisecond, 1999 * time.Millisecond, "2", "2", 0, "0", "20"},
		{time.Hour, time.Hour, "3600", "3600", -3, "0", "20"},
		{-1, -time.Second, "", "0", 5, "5", "20"}, // it can never pass
	} {
		r := reply(limited(c.retry, c.reset, c.remaining))
		got := headersOf(r.GetDeniedResponse().GetHeaders())
		if statusOf(r) != 429 || got["retry-after"] != c.wantRetry || got["ratelimit-reset"] != c.wantReset ||
			got["ratelimit-remaining"] != c.wantRemaining || got["ratelimit-limit"] != c.wantOK {
			t.Errorf("%v: %v", c, got)
		}
	}
	for family, names := range map[config.RateLimitHeaders][]string{
		"":                 {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"},
		config.HeadersIETF: {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"},
		config.HeadersX:    {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"},
		config.HeadersBoth: {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"},
		config.HeadersNone: nil,
	} {
		v := limited(3*time.Second, 4*time.Second, 7)
		v.limitHeaders = family
		got := headersOf(reply(v).GetDeniedResponse().GetHeaders())
		values := []string{"20", "7", "4", "20", "7", "4"}
		for i, name := range names {
			if got[name] != values[i] {
				t.Errorf("%q: %s is %q", family, name, got[name])
			}
		}
		if got["retry-after"] != "3" || len(got) != len(names)+3 { // and content-type, cache-control
			t.Errorf("%q: %v", family, got)
		}
	}
	r := reply(Verdict{Reason: ReasonAllowed, Limits: LimitResult{Allowed: true, Limit: "per-user", Capacity: 20, Remaining: 19, ResetAfter: 100 * time.Millisecond}})
	got := headersOf(r.GetOkResponse().GetResponseHeadersToAdd())
	if len(got) != 3 || got["ratelimit-limit"] != "20" || got["ratelimit-remaining"] != "19" || got["ratelimit-reset"] != "1" {
		t.Errorf("allowed: %v", got)
	}
	fields := r.GetDynamicMetadata().GetFields()
	if fields["limit"].GetStringValue() != "per-user" || fields["remaining"].GetNumberValue() != 19 {
		t.Errorf("metadata %v", fields)
	}
	if r := reply(Verdict{Reason: ReasonAllowed}); len(r.GetOkResponse().GetResponseHeadersToAdd()) != 0 {
		t.Error("no limit was asked, and its headers are there")
	}
	if r := reply(Verdict{Reason: ReasonJWKSUnavailable}); deniedHeader(r, "retry-after") != "" {
		t.Error("a retry-after out of nothing")
	}
	if n := wholeSeconds(math.MaxInt64); n < 1 {
		t.Errorf("the longest time is %d seconds", n)
	}
}

func TestChallengeOnlyWhereItBelongs(t *testing.T) {
	for reason, want := range map[Reason]bool{
		ReasonCredentialMissing: true, ReasonScopeMissing: true, ReasonDuplicateCredential: false,
		ReasonRateLimited: false, ReasonJWKSUnavailable: false, "": false,
	} {
		r := reply(Verdict{Reason: reason, Challenge: "Bearer"})
		if got := deniedHeader(r, "www-authenticate") != ""; got != want {
			t.Errorf("%q: challenge %t, want %t", reason, got, want)
		}
	}
}

// The metadata holds what the access log needs, and valid UTF-8 whatever came.
func TestMetadata(t *testing.T) {
	r := reply(Verdict{
		Reason: ReasonScopeMissing, Policy: "abc\xff",
		Identity:  Identity{Provider: "main", User: "al\xffice", Tenant: "acme", KeyID: "k1"},
		LimitKeys: map[string]string{"user": "main:alice", "header:X-Foo": "\xff", "tenant": ""},
	})
	fields := r.GetDynamicMetadata().AsMap()
	for name, want := range map[string]string{
		"reason": "scope-missing", "policy": "abc\ufffd", "provider": "main", "user": "al\ufffdice", "tenant": "acme", "key_id": "k1",
	} {
		if fields[name] != want {
			t.Errorf("%s is %v, want %s", name, fields[name], want)
		}
	}
	keys := fields["limit_keys"].(map[string]any)
	if keys["user"] != "main:alice" || keys["header:X-Foo"] != "\ufffd" || keys["tenant"] != "" || len(keys) != 3 {
		t.Errorf("limit_keys %v", keys)
	}
	if strings.Contains(r.GetDeniedResponse().GetBody(), "alice") {
		t.Error("the body names the caller")
	}
}

// TestWhatEnvoyIsToldOf: texts for headers and queries, in one form each, and
// nothing of what the caller lacks.
func TestWhatEnvoyIsToldOf(t *testing.T) {
	t.Parallel()
	who := &Identity{User: "ann\r\nX-Evil: 1", Claims: map[string]any{
		"tenant": "müller", "roles": []any{"a,b", "c"}, "admin": true, "https://example.com/n": json.Number("12345678901234567890"),
		"address": map[string]any{"city": "Wien"}, "none": nil, "": "x",
	}}
	got, refused := told(who, []string{"claims.address", "claims.admin", "claims.https://example.com/n", "claims.none", "claims.roles", "claims.tenant", "tenant", "user"})
	if refused != nil {
		t.Fatal(refused)
	}
	want := []datum{
		{name: "claims.admin", text: "true"}, {name: "claims.https://example.com/n", text: "12345678901234567890"},
		{name: "claims.roles", text: "a%2Cb,c"}, {name: "claims.tenant", text: "m%C3%BCller"}, {name: "user", text: "ann%0D%0AX-Evil: 1"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("told is %+v, want %+v", got, want)
	}
	who.Claims["tenant"] = strings.Repeat("ü", 200)
	if _, refused := told(who, []string{"claims.tenant"}); refused == nil || refused.reason != ReasonTokenClaimsInvalid {
		t.Errorf("1200 bytes: %+v", refused)
	}
}

// TestLimitsOfCalls: a call of gRPC is told by its status that a limit is used up.
func TestLimitsOfCalls(t *testing.T) {
	t.Parallel()
	for _, call := range []bool{false, true} {
		r := reply(Verdict{Reason: ReasonRateLimited, call: call})
		said := slices.ContainsFunc(r.GetDeniedResponse().GetHeaders(), func(h *corev3.HeaderValueOption) bool {
			return h.GetHeader().GetKey() == "grpc-status" && h.GetHeader().GetValue() == "8"
		})
		if said != call {
			t.Errorf("a call: %v, told so: %v", call, said)
		}
	}
}
