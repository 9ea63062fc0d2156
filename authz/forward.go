package authz

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// maxForwardBytes bounds the value of one identity header. A longer one is
// refused: cut off, two callers could become one.
const maxForwardBytes = 1 << 10

// header is a header that is set, with its name in lower case.
type header struct{ name, value string }

// forwardClaims returns the headers that tell the backend of a token's claims.
func forwardClaims(c claims, forward map[string]string) ([]header, *refusal) {
	return forwarded(forward, ReasonTokenClaimsInvalid, func(claim string) string {
		return forwardText(c[claim])
	})
}

// forwardKey returns the headers that tell the backend of an API key.
func forwardKey(record APIKeyRecord, forward map[string]string) ([]header, *refusal) {
	properties := map[string]string{"id": record.ID, "owner": record.Owner, "tenant": record.Tenant}
	return forwarded(forward, ReasonAPIKeyInvalid, func(property string) string {
		return headerText(properties[property], "")
	})
}

// forwarded sets a header for each property that has a text. Where it has
// none the header is not set, and reply takes it out of the request.
func forwarded(forward map[string]string, tooLong Reason, text func(property string) string) ([]header, *refusal) {
	set := make([]header, 0, len(forward))
	for _, property := range sortedKeys(forward) {
		value := text(property)
		if len(value) > maxForwardBytes {
			return nil, refuseWith(tooLong,
				fmt.Sprintf("%q, which the backend is told of, is longer than %d bytes.", property, maxForwardBytes))
		}
		if value != "" {
			set = append(set, header{strings.ToLower(forward[property]), value})
		}
	}
	return set, nil
}

// forwardText is a claim as a header value: see headerText. The elements of an
// array of strings are joined by commas, with the commas in them encoded.
// Whatever else is no scalar is not forwarded.
func forwardText(claim any) string {
	switch claim := claim.(type) {
	case string:
		return headerText(claim, "")
	case bool, json.Number:
		return claimText(claim)
	case []any:
		elements, ok := stringOrStrings(claim)
		if !ok {
			return ""
		}
		for i, element := range elements {
			elements[i] = headerText(element, ",")
		}
		return strings.Join(elements, ",")
	}
	return ""
}

// removedHeaders are the headers that the backend must not see: the
// credentials that the policy reads, and identity headers that are not set for
// this caller. No client's own X-User-ID passes because the caller has none.
func removedHeaders(p *Policy, c *caller) []string {
	// A token stays only if it has just been verified, and its provider says so.
	keepToken := c.keep == keptInRequest
	names := make([]string, 0, 4*(len(p.AnyOf)+len(p.AllOf)))
	for q := range p.Requirements() {
		switch {
		case q.takesToken():
			if !keepToken {
				names = append(names, "authorization")
			}
			_, forward := q.provider()
			names = appendLower(names, forward)
		case q.APIKey != nil:
			if q.APIKey.From.Query == "" {
				names = append(names, strings.ToLower(q.APIKey.KeyHeader()))
			}
			names = appendLower(names, q.APIKey.Forward)
		case q.ClientCertificate != nil:
			names = appendLower(names, q.ClientCertificate.Forward)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(c.headers, func(h header) bool { return h.name == name })
	})
}

func appendLower(names []string, forward map[string]string) []string {
	for _, name := range forward {
		names = append(names, strings.ToLower(name))
	}
	return names
}

// removedQuery are the query parameters that the backend must not see.
func removedQuery(p *Policy) []string {
	var names []string
	for q := range p.Requirements() {
		if key := q.APIKey; key != nil && key.From.Query != "" && !slices.Contains(names, key.From.Query) {
			names = append(names, key.From.Query)
		}
	}
	return names
}
