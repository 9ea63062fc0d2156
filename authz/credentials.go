package authz

import "github.com/gatewright/gatewright/config"

// credentials are what a request shows to the requirements of its route. Each
// credential is verified once, however many requirements ask for it.
type credentials struct {
	hasToken bool
	// bearer is the token as it was sent, for issuers that are asked about it.
	bearer string
	// parsed tells that token and tokenRefused are set.
	parsed bool
	token  token
	// tokenRefused is why the token is none; nil where it is well-formed.
	tokenRefused *refusal
	verified     []verified
	vouched      []vouched
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
	c := &credentials{}
	for i := range p.AnyOf {
		q := &p.AnyOf[i]
		if q.takesToken() && !c.hasToken {
			if refused := c.readToken(rq); refused != nil {
				return nil, refused
			}
		}
		if q.JWT != nil && c.hasToken && !c.parsed {
			c.parsed = true
			c.token, c.tokenRefused = parseToken(c.bearer)
		}
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
	c.bearer, c.hasToken = bearer(authorization)
	return nil
}

func (c *credentials) key(provider *config.APIKey) *presentedKey {
	for i := range c.keys {
		if c.keys[i].provider == provider {
			return &c.keys[i]
		}
	}
	return nil
}
