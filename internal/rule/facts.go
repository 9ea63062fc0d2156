package rule

import (
	"encoding/json"
	"math"
	"net/url"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Facts are what a rule is evaluated over. What a rule does not name is not
// asked for.
type Facts struct {
	// Method is as it came. Host is in lower case and without its port, as
	// routes are matched by it; Path is without the query, and nothing in it
	// is decoded.
	Method, Host, Path string
	// Query is what stands behind the path's question mark.
	Query string
	// Headers returns the values by names in lower case, those of several
	// lines joined by commas. Nil is no headers.
	Headers func() map[string]string
	// Claims are the token's: nil, bool, string, json.Number, []any and
	// map[string]any.
	Claims map[string]any
	// KeyID and the others are the API key's.
	KeyID, KeyOwner, KeyTenant string
	KeyPermissions             []string
	// CallerUser and the others are a caller's of any kind; CallerKey is the id of
	// its API key.
	CallerUser, CallerTenant, CallerPlan, CallerProvider, CallerKey string
}

// activation gives CEL the facts by the names of the variables.
type activation struct{ *Facts }

func (a activation) Parent() cel.Activation { return nil }

func (a activation) ResolveName(name string) (any, bool) {
	switch name {
	case varClaims:
		return a.Claims, true
	case varMethod:
		return a.Method, true
	case varPath:
		return a.Path, true
	case varHost:
		return a.Host, true
	case varHeaders:
		if a.Headers == nil {
			return map[string]string{}, true
		}
		return a.Headers(), true
	case varQuery:
		return parameters(a.Query), true
	case varKeyID:
		return a.KeyID, true
	case varKeyOwner:
		return a.KeyOwner, true
	case varKeyTenant:
		return a.KeyTenant, true
	case varKeyPermissions:
		return a.KeyPermissions, true
	case varCallerUser:
		return a.CallerUser, true
	case varCallerTenant:
		return a.CallerTenant, true
	case varCallerPlan:
		return a.CallerPlan, true
	case varCallerProvider:
		return a.CallerProvider, true
	case varCallerKey:
		return a.CallerKey, true
	}
	return nil, false
}

// parameters are the values of each query parameter, in their order: of one
// that is there twice a rule sees both, since backends differ in which they
// take. A query that cannot be decoded is an error, not an empty one.
func parameters(query string) any {
	all := map[string][]string{}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil {
			return types.NewErr("the query is not well-formed")
		}
		all[name] = append(all[name], value)
	}
	return all
}

// adapter gives CEL the numbers of a token, which CEL would else take for
// texts, and whatever they stand in.
type adapter struct{ types.Adapter }

func (a adapter) NativeToValue(value any) ref.Val {
	switch v := value.(type) {
	case json.Number:
		return number(string(v))
	case map[string]any:
		return types.NewStringInterfaceMap(a, v)
	case []any:
		return types.NewDynamicList(a, v)
	}
	return a.Adapter.NativeToValue(value)
}

// number is a JSON number as a number of CEL. An integer that no 64 bits hold
// is an error: as the double next to it, two different ids would be equal.
func number(s string) ref.Val {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return types.Int(i)
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		return types.Uint(u)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) || !strings.ContainsAny(s, ".eE") {
		return types.NewErr("a number is too large")
	}
	return types.Double(f)
}
