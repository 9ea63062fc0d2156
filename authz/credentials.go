package authz

import (
	"slices"

	"github.com/gatewright/gatewright/config"
)

// credentials are what a request shows to the requirements of its route. Each
// credential is verified once, however many requirements ask for it.
type credentials struct {
	// request is what they came with; rules read it.
	request  *request
	hasToken bool
	// otherScheme: there is an Authorization header of another scheme.
	otherScheme bool
	// rawToken is the token's text, and sum its name in the table of those seen.
	rawToken string
	sum      tokenSum
	// parsed tells that token and tokenRefused are set: why the token is none,
	// nil where it is well-formed.
	parsed       bool
	token        token
	tokenRefused *refusal
	verified     []verified
	vouched      []vouched
	verifiedRoom [2]verified
	// hasCertificate: the client has shown a certificate, and the policy asks for
	// one. peer is it, or peerRefused why it is none, once peerRead is set.
	hasCertificate, peerRead bool
	peer                     *peerCertificate
	peerRefused              *refusal
	// keys are the API keys, in the order of the policy's requirements.
	keys []presentedKey
}

// verified is what one provider says of the token.
type verified struct {
	provider *config.JWT
	claims   claims
	refused  *refusal
}

// presentedKey is an API key, and what the store says of it.
type presentedKey struct {
	provider *config.APIKey
	text     string
	asked    bool
	record   APIKeyRecord
	refused  *refusal
}

// readCredentials takes from a request what the policy reads. A credential
// that is there twice is refused for all requirements, so that it does not
// depend on their order.
func readCredentials(rq *request, p *Policy) (*credentials, *refusal) {
	c := &credentials{request: rq}
	c.verified = c.verifiedRoom[:0]
	for q := range p.Requirements() {
		if q.takesToken() && !c.hasToken {
			if refused := c.readToken(rq); refused != nil {
				return nil, refused
			}
		}
		c.hasCertificate = c.hasCertificate || q.ClientCertificate != nil && rq.certificate != ""
		if q.APIKey != nil && c.key(q.APIKey) == nil {
			text, refused := readAPIKey(rq, q.APIKey)
			if refused != nil {
				return nil, refused
			}
			c.keys = append(c.keys, presentedKey{provider: q.APIKey, text: text})
		}
	}
	return c, nil
}

func (c *credentials) readToken(rq *request) *refusal {
	authorization, refused := rq.credentialHeader("authorization")
	if refused != nil {
		return refused
	}
	raw, ok := bearer(authorization)
	if !ok {
		c.otherScheme = authorization != ""
		return nil
	}
	c.hasToken, c.rawToken = true, raw
	return nil
}

// tokenFrom is the token that a request shows, from the table where it has been
// seen before, and else taken apart here. A text that is too long to be a token
// is not even looked for.
func (c *credentials) tokenFrom(known *tokenTable) (token, *refusal) {
	if c.parsed {
		return c.token, c.tokenRefused
	}
	c.parsed = true
	if known != nil && len(c.rawToken) <= MaxTokenBytes {
		c.sum = sumOf(c.rawToken)
		if seen := known.find(c.sum); seen != nil {
			c.token = seen.asToken(c.rawToken)
			return c.token, nil
		}
	}
	c.token, c.tokenRefused = parseToken(c.rawToken)
	return c.token, c.tokenRefused
}

// none tells that the request shows no credential where the policy looks for
// them. What is there and cannot be read, as an Authorization header of another
// scheme, is one: who sends it does not mean to be nobody.
func (c *credentials) none() bool {
	return !c.hasToken && !c.otherScheme && !c.hasCertificate && !slices.ContainsFunc(c.keys, func(k presentedKey) bool { return k.text != "" })
}

func (c *credentials) key(provider *config.APIKey) *presentedKey {
	for i := range c.keys {
		if c.keys[i].provider == provider {
			return &c.keys[i]
		}
	}
	return nil
}
