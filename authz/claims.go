package authz

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/config"
)

// defaultSkew is the leeway of a provider that names none.
const defaultSkew = 30 * time.Second

// maxNumericDate is the last second of the year 9999: the last date that other
// programs can be expected to hold.
const maxNumericDate = 253402300799

// claims are a token's claims as decoded: nil, bool, string, json.Number,
// []any, map[string]any.
type claims map[string]any

func decodeClaims(payload []byte) (claims, error) {
	return decodeObject(payload)
}

// judge decides whether the claims hold for the provider at the time now. The
// provider's skew is allowed once: a token is valid while
// nbf - skew <= now < exp + skew, and not issued after now + skew.
func (c claims) judge(provider *config.JWT, now time.Time) *refusal {
	if refused := c.checkIssuer(provider.Issuer); refused != nil {
		return refused
	}
	if refused := c.checkAudience(provider.Audiences); refused != nil {
		return refused
	}
	if refused := c.checkTimes(now, provider.ClockSkew.Or(defaultSkew)); refused != nil {
		return refused
	}
	if _, ok := c.text("sub"); !ok {
		return refuse(ReasonTokenClaimsInvalid)
	}
	if _, ok := c.scopes(); !ok {
		return refuse(ReasonTokenClaimsInvalid)
	}
	return nil
}

func (c claims) checkIssuer(issuer string) *refusal {
	iss, ok := c.text("iss")
	switch {
	case !ok:
		return refuse(ReasonTokenClaimsInvalid)
	case iss == "" || iss != issuer:
		return refuse(ReasonTokenIssuerMismatch)
	}
	return nil
}

// checkAudience: aud is a string, or an array of nothing but strings (RFC
// 7519, section 4.1.3).
func (c claims) checkAudience(audiences []string) *refusal {
	value, there := c["aud"]
	if !there {
		return refuse(ReasonTokenAudienceMismatch)
	}
	named, ok := stringOrStrings(value)
	if !ok {
		return refuse(ReasonTokenClaimsInvalid)
	}
	for _, aud := range named {
		if aud != "" && slices.Contains(audiences, aud) {
			return nil
		}
	}
	return refuse(ReasonTokenAudienceMismatch)
}

func (c claims) checkTimes(now time.Time, skew time.Duration) *refusal {
	exp, hasExp, expOK := c.date("exp")
	nbf, hasNBF, nbfOK := c.date("nbf")
	iat, hasIAT, iatOK := c.date("iat")
	switch {
	case !hasExp || !expOK || !nbfOK || !iatOK || exp.Equal(time.Unix(0, 0)):
		return refuse(ReasonTokenClaimsInvalid)
	case !now.Before(exp.Add(skew)):
		return refuse(ReasonTokenExpired)
	case hasNBF && now.Before(nbf.Add(-skew)):
		return refuse(ReasonTokenNotYetValid)
	case hasIAT && now.Before(iat.Add(-skew)):
		return refuse(ReasonTokenNotYetValid)
	}
	return nil
}

// date reads a NumericDate (RFC 7519, section 2): a JSON number of seconds,
// fractions too, from 1970 to the end of 9999. A string is not one, however
// much its text looks like a number.
func (c claims) date(name string) (at time.Time, there, ok bool) {
	value, there := c[name]
	if !there {
		return time.Time{}, false, true
	}
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, true, false
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > maxNumericDate {
		return time.Time{}, true, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), true, true
}

// text returns a claim that may only be a string. Absent is the empty string.
func (c claims) text(name string) (string, bool) {
	value, there := c[name]
	if !there {
		return "", true
	}
	s, ok := value.(string)
	return s, ok
}

// scopes are what the token grants: scope, words apart by spaces (RFC 8693,
// section 4.2), and scp, the same or an array (Microsoft, Okta).
func (c claims) scopes() ([]string, bool) {
	scope, ok := c.text("scope")
	if !ok {
		return nil, false
	}
	granted := words(scope)
	switch scp := c["scp"].(type) {
	case nil:
		_, there := c["scp"]
		return granted, !there
	case string:
		return append(granted, words(scp)...), true
	default:
		more, ok := stringOrStrings(scp)
		return append(granted, more...), ok
	}
}

// grants tells whether a scope is one of scopes(), which has judged them already.
// It is asked of every request, and so makes nothing.
func (c claims) grants(scope string) bool {
	granted, _ := c["scope"].(string)
	if hasWord(granted, scope) {
		return true
	}
	switch scp := c["scp"].(type) {
	case string:
		return hasWord(scp, scope)
	case []any:
		return slices.ContainsFunc(scp, func(s any) bool { return s == scope })
	default:
		return false
	}
}

// hasWord tells whether a word is one of words(s).
func hasWord(s, word string) bool {
	for s != "" {
		var next string
		if next, s, _ = strings.Cut(s, " "); next == word && word != "" {
			return true
		}
	}
	return false
}

// words splits at spaces alone: a tab or a line break is part of a word, and
// then of no scope.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' })
}

// holds reports whether a claim equals one of the values, or as an array
// contains one. Numbers and booleans are compared as text: 7 and 7.0 are "7".
func (c claims) holds(name string, values []string) bool {
	value, there := c[name]
	if !there || value == nil {
		return false
	}
	elements, isArray := value.([]any)
	if !isArray {
		elements = []any{value}
	}
	for _, element := range elements {
		if isScalar(element) && slices.Contains(values, claimText(element)) {
			return true
		}
	}
	return false
}

func isScalar(v any) bool {
	switch v.(type) {
	case string, bool, json.Number:
		return true
	}
	return false
}

// stringOrStrings returns a string, or an array of nothing but strings, as a slice.
func stringOrStrings(v any) ([]string, bool) {
	switch v := v.(type) {
	case string:
		return []string{v}, true
	case []any:
		all := make([]string, len(v))
		for i, element := range v {
			s, ok := element.(string)
			if !ok {
				return nil, false
			}
			all[i] = s
		}
		return all, true
	}
	return nil, false
}
