package authz

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatewright/gatewright/config"
)

// maxForwardBytes bounds the value of one identity header. A longer one is
// refused: cut off, two callers could become one.
const maxForwardBytes = 1 << 10

// header is a header that is set, with its name in lower case.
type header struct{ name, value string }

// forwarding is a property of the caller, and the header by which the backend is
// told of it, in lower case.
type forwarding struct{ property, header string }

// forwards are what the backend is told of who satisfies the requirement, in the
// order of the properties.
func (q *Requirement) forwards() []forwarding {
	if q.forwarding != nil {
		return q.forwarding
	}
	_, forward := q.provider()
	all := make([]forwarding, 0, len(forward))
	for _, property := range sortedKeys(forward) {
		all = append(all, forwarding{property, strings.ToLower(forward[property])})
	}
	return all
}

// forwardClaims returns the headers that tell the backend of a token's claims.
func forwardClaims(c claims, q *Requirement) ([]header, *refusal) {
	return forwarded(q, ReasonTokenClaimsInvalid, func(claim string) string {
		return forwardText(c[claim])
	})
}

// forwardKey returns the headers that tell the backend of an API key.
func forwardKey(record *APIKeyRecord, q *Requirement) ([]header, *refusal) {
	return forwarded(q, ReasonAPIKeyInvalid, func(property string) string {
		switch property {
		case "id":
			return headerText(record.ID, "")
		case "owner":
			return headerText(record.Owner, "")
		case "tenant":
			return headerText(record.Tenant, "")
		default: // refused by validation
			return ""
		}
	})
}

// forwarded sets a header for each property that has a text. Where it has
// none the header is not set, and reply takes it out of the request.
func forwarded(q *Requirement, tooLong Reason, text func(property string) string) ([]header, *refusal) {
	all := q.forwards()
	set := make([]header, 0, len(all))
	for _, f := range all {
		value := text(f.property)
		if len(value) > maxForwardBytes {
			return nil, refuseWith(tooLong,
				fmt.Sprintf("%q, which the backend is told of, is longer than %d bytes.", f.property, maxForwardBytes))
		}
		if value != "" {
			set = append(set, header{f.header, value})
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

// told is what Envoy is told of a caller, as it is forwarded, and of ASCII alone.
// What the caller lacks is left out.
func told(who *Identity, names []string) ([]datum, *refusal) {
	var all []datum
	for _, name := range names {
		text := asciiText(toldText(who, name))
		if len(text) > maxForwardBytes {
			return nil, refuseWith(ReasonTokenClaimsInvalid,
				fmt.Sprintf("%q, which this route uses, is longer than %d bytes.", name, maxForwardBytes))
		}
		all = appendDatum(all, name, text)
	}
	return all, nil
}

func toldText(who *Identity, name string) string {
	switch name {
	case "user":
		return headerText(who.User, "")
	case "tenant":
		return headerText(who.Tenant, "")
	}
	return forwardText(who.Claims[strings.TrimPrefix(name, "claims.")])
}

// asciiText percent-encodes all bytes that are not ASCII.
func asciiText(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] < utf8.RuneSelf {
			b.WriteByte(s[i])
		} else {
			percentEncode(&b, s[i:i+1])
		}
	}
	return b.String()
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
		case q.takesToken() && !keepToken:
			names = append(names, "authorization")
		case q.APIKey != nil && q.APIKey.From.Query == "" && !keepsKey(p, c, q.APIKey):
			names = append(names, strings.ToLower(q.APIKey.KeyHeader()))
		}
		for _, f := range q.forwards() {
			names = append(names, f.header)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(c.headers, func(h header) bool { return h.name == name })
	})
}

// removedQuery are the query parameters that the backend must not see.
func removedQuery(p *Policy, c *caller) []string {
	var names []string
	for q := range p.Requirements() {
		if key := q.APIKey; key != nil && key.From.Query != "" && !slices.Contains(names, key.From.Query) && !keepsKey(p, c, key) {
			names = append(names, key.From.Query)
		}
	}
	return names
}

// keepsKey reports whether the backend is to see the API key that came where the
// provider's does: of those who have just found it good, one at least says so, and
// none does not.
func keepsKey(p *Policy, c *caller, provider *config.APIKey) bool {
	if c.by == nil {
		return false
	}
	keeps, another := keyUse(c.by.APIKey, provider)
	for i := range p.AllOf {
		one, other := keyUse(p.AllOf[i].APIKey, provider)
		keeps, another = keeps || one, another || other
	}
	return keeps && !another
}

// keyUse is whether a provider whose key has been found good, at the place of
// another's, leaves it to the backend or takes it out; neither at other places.
func keyUse(good, provider *config.APIKey) (keeps, takesOut bool) {
	if good == nil || good.From.Query != provider.From.Query || !strings.EqualFold(good.KeyHeader(), provider.KeyHeader()) {
		return false, false
	}
	return good.ForwardCredential, !good.ForwardCredential
}
