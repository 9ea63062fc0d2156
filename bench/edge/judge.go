package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// limitedUser is whom ratelimitConfig lets make one request an hour.
const limitedUser = "limited"

// probe is a request whose answer says whether a gateway holds to the policy.
type probe struct {
	what    string
	request []byte
	want    []int  // statuses
	told    string // with 200: what the backend is to have been told
}

// bearer is a request with a token.
type bearer struct {
	what    string
	forged  bool           // another has signed it, with the same name and the same key ID
	claims  map[string]any // those that differ from a good token's
	headers []string       // of the client's own
	want    []int
}

// bearers are what a policy of tokens, a scope and forwarded claims comes to. Who is
// nobody may be told so with either status: Envoy's filters have 403 for an audience.
func bearers() []bearer {
	passes, nobodys, lacks := []int{http.StatusOK}, []int{http.StatusUnauthorized, http.StatusForbidden}, []int{http.StatusForbidden}
	return []bearer{
		{what: "a good token", want: passes},
		{what: "a good token, and headers of the client's own", want: passes,
			headers: []string{userHeader + ": root", roleHeader + ": admin", tenantHeader + ": other"}},
		{what: "another's signature", forged: true, want: nobodys},
		{what: "another issuer", claims: map[string]any{"iss": "https://other.example.com/"}, want: nobodys},
		{what: "another audience", claims: map[string]any{"aud": "other"}, want: nobodys},
		{what: "an expired token", claims: map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}, want: nobodys},
		{what: "another scope", claims: map[string]any{"scope": "openid users:reading orders:write"}, want: lacks},
	}
}

// probes are the bearers' requests, and one without a token.
func probes(issuer *rig.Issuer) ([]probe, error) {
	stranger, err := rig.NewIssuer()
	if err != nil {
		return nil, err
	}
	all := []probe{{what: "no token", request: get(toldPath), want: []int{http.StatusUnauthorized, http.StatusForbidden}}}
	for _, one := range bearers() {
		signer := issuer
		if one.forged {
			signer = stranger
		}
		token, err := tokenWith(signer, one.claims)
		if err != nil {
			return nil, err
		}
		all = append(all, probe{what: one.what, request: get(toldPath, append(one.headers, "Authorization: Bearer "+token)...), want: one.want,
			told: userOf(0) + " buyer acme " + nobody})
	}
	return all, nil
}

// tokenWith is the token of the first user, with some claims changed.
func tokenWith(issuer *rig.Issuer, changed map[string]any) (string, error) {
	payload, err := rig.Payload(0, rig.IssuerName)
	if err != nil {
		return "", err
	}
	claims := map[string]any{}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return "", fmt.Errorf("reading a token: %w", err)
	}
	for name, value := range changed {
		claims[name] = value
	}
	if payload, err = json.Marshal(claims); err != nil {
		return "", fmt.Errorf("making a token: %w", err)
	}
	return issuer.Sign("RS256", payload)
}

// judge is an error of a row that does not hold to the policy: it is not measured
// beside others that do.
func (b *bench) judge(r *row) error {
	if !r.identity {
		return nil
	}
	for _, p := range b.probes {
		if err := p.asked(r.clients[0]); err != nil {
			return fmt.Errorf("%s: %s: %w", r.what, p.what, err)
		}
	}
	if !r.counted {
		return nil
	}
	if err := b.judgeLimit(r.clients[0]); err != nil {
		return fmt.Errorf("%s: %w", r.what, err)
	}
	return nil
}

// asked is an error of an answer that is another than the one that is wanted.
func (p probe) asked(c *client) error {
	status, err := c.exchange(p.request)
	if err != nil {
		return err
	}
	if !slices.Contains(p.want, status) || status == http.StatusOK && string(c.body) != p.told {
		return fmt.Errorf("answered with %d and %q, not with one of %d and %q", status, c.body, p.want, p.told)
	}
	return nil
}

// judgeLimit asks as the user whose limit is one request an hour: within so many there
// is a denial, though an hour may end between them.
func (b *bench) judgeLimit(c *client) error {
	const tries = 4
	token, err := tokenWith(b.issuer, map[string]any{"sub": limitedUser})
	if err != nil {
		return err
	}
	for range tries {
		status, err := c.exchange(get(toldPath, "Authorization: Bearer "+token))
		if err != nil {
			return err
		}
		if status == http.StatusTooManyRequests {
			return nil
		}
		if status != http.StatusOK {
			return fmt.Errorf("user %q: answered with %d", limitedUser, status)
		}
	}
	return fmt.Errorf("user %q: %d requests have passed in a row", limitedUser, tries)
}
