package xds

import (
	"slices"

	"github.com/gatewright/gatewright/config"
)

// limitKeyClaim is the claim that such a header has of a token.
func limitKeyClaim(part config.KeyPart) string {
	if claim, ok := part.Claim(); ok {
		return claim
	}
	switch part {
	case config.KeyUser:
		return "sub"
	case config.KeyTenant:
		return "tenant"
	}
	return ""
}

// keyHeader is a claim of a token, and the header that tells limits of it.
type keyHeader struct{ claim, header string }

// keyHeaders are those of all limits, each once, in the order of their names.
func keyHeaders(limits []*config.Limit) []keyHeader {
	byHeader := map[string]keyHeader{}
	for _, l := range limits {
		for _, part := range l.Key {
			if header := part.CountedHeader(); header != "" {
				byHeader[header] = keyHeader{limitKeyClaim(part), header}
			}
		}
	}
	var out []keyHeader
	for _, name := range sortedKeys(byHeader) {
		out = append(out, byHeader[name])
	}
	return out
}

// countedHeaders are the headers of requests that are counted inside Envoy, which no
// backend is to see.
func (b builder) countedHeaders(limits []*config.Limit) []string {
	if len(limits) == 0 {
		return nil
	}
	out := []string{config.CountedHeader}
	if slices.ContainsFunc(limits, b.tellsMapped) {
		out = append(out, config.CountedAddressHeader)
	}
	for _, h := range keyHeaders(limits) {
		out = append(out, h.header)
	}
	return out
}
