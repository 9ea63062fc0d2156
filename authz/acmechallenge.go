package authz

import (
	"strings"

	"github.com/gatewright/gatewright/config"
)

// NewChallengesPolicy returns the policy of requests by which an authority sees that a
// domain leads here.
func NewChallengesPolicy() *Policy { return &Policy{Challenges: true} }

// answerChallenge answers an authority, which asks for a token that it has given
// us: the answer is ours, and so a denial to Envoy. What nobody has asked is not there.
func (s *Server) answerChallenge(rq *request, v Verdict) Verdict {
	path, _, _ := strings.Cut(rq.path, "?")
	answer, ok := s.challenge(strings.TrimPrefix(path, config.ChallengePath))
	if !ok {
		return v.denied(refuse(ReasonRouteNotFound))
	}
	v.Reason = ReasonChallengeAnswered
	v.respond = &config.Respond{Status: 200, Body: answer, Headers: map[string]string{"Content-Type": "text/plain", "Cache-Control": "no-store"}}
	return v
}
