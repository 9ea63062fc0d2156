package authz

import (
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// TestChallenges: an authority gets its answer from the gateway, and no backend the
// request; what nobody has asked for is not there, and the policy lets nothing pass.
func TestChallenges(t *testing.T) {
	policy := NewChallengesPolicy()
	if !policy.Needed() {
		t.Fatal("Envoy would not ask")
	}
	s := New(Options{
		Policies:  knownPolicies{policy.Hash(): policy},
		Challenge: func(token string) (string, bool) { return token + ".thumb", token == "known" },
	})
	for path, want := range map[string]string{
		"/.well-known/acme-challenge/known": "known.thumb", "/.well-known/acme-challenge/known?x": "known.thumb",
		"/.well-known/acme-challenge/other": "", "/.well-known/acme-challenge/": "", "/.well-known/acme-challenge/known/x": "", "/other": "",
	} {
		m := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			ContextExtensions: map[string]string{"route": "gatewright.challenge", "policy": policy.Hash()},
			Request:           &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Method: "GET", Path: path}},
		}}
		r, err := s.Check(t.Context(), m)
		if err != nil || allows(r) {
			t.Fatalf("%s: passes, %v", path, err)
		}
		if want == "" && (statusOf(r) != 404 || reasonOf(r) != ReasonRouteNotFound) {
			t.Errorf("%s: %v", path, r)
		}
		if want != "" && (statusOf(r) != 200 || reasonOf(r) != ReasonChallengeAnswered || r.GetDeniedResponse().GetBody() != want) {
			t.Errorf("%s: %v", path, r)
		}
	}
	if r, _ := New(Options{Policies: knownPolicies{policy.Hash(): policy}}).Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		ContextExtensions: map[string]string{"route": "a", "policy": policy.Hash()},
	}}); allows(r) || statusOf(r) != 404 {
		t.Errorf("without anybody to ask: %v", r)
	}
}
