package xds

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	rbacfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	typematcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	exprv1alpha1 "google.golang.org/genproto/googleapis/api/expr/v1alpha1"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/laxjson"
)

// The bounds of Check (package authz), which a token must keep.
const (
	bearerPrefix = "Bearer "
	maxToken     = 8 << 10
	// maxForwarded is less than Check's: a text of as many ASCII characters.
	maxForwarded = 256
	maxDate      = 253402300799 // the last second of the year 9999
	// maxHead is how long a token's header may be, in bytes, that is known to the byte.
	maxHead = 1 << 10
)

// fewCallers is how many callers policies may have in all for each to look at a token's
// claims itself, by an expression of some kilobytes. Where there are more, jsonFilter
// does it for all of them, which costs each request more.
const fewCallers = 16

// someCallers is how many there may be for each to have a rule for old tokens beside the one
// for all: to make it takes an Envoy's main thread some 3 ms and 70 KiB, once in a while
// (PlacedState.IssuedBefore).
const someCallers = 128

// callersOf is how many callers policies have in all.
func callersOf(policies []*PlacedPolicy) int {
	n := 0
	for _, p := range policies {
		n += len(p.Callers)
	}
	return n
}

// placedRules are the rules by which a policy lets requests pass: for each caller that it
// takes, of whom Envoy knows the keys, one for tokens that are neither young nor long, which
// needs no CEL, and one for all. Each names the policy. Envoy tries them in the order of
// their names, up to the first that holds. callers is how many all policies have.
func placedRules(p *PlacedPolicy, state PlacedState, callers int) map[string]*rbacv3.Policy {
	out := map[string]*rbacv3.Policy{}
	maps.Copy(out, certificateRules(p))
	for i, c := range p.Callers {
		keys := state.Keys[c.Key]
		reason, revoked := c.letsNonePass(state)
		if reason != "" {
			continue
		}
		rule := func(condition *exprv1alpha1.Expr, all ...*rbacv3.Principal) *rbacv3.Policy {
			for _, name := range p.Absent {
				all = append(all, isNot(ofHeader(present(name))))
			}
			all = append(all, strict(callers <= fewCallers))
			all = append(all, judged(c)...)
			all = append(all, required(c)...)
			all = append(all, countable(c, p.Limit)...)
			all = append(all, revoked.none(c.Key)...)
			all = append(all, c.withoutCertificate()...)
			return &rbacv3.Policy{
				Permissions: []*rbacv3.Permission{ofRoute(metadataMatcher(exactValue(p.Hash), routeMetadata, metadataPlace))},
				Principals:  []*rbacv3.Principal{allPrincipals(all)},
				Condition:   condition,
			}
		}
		name := p.Hash
		if i > 0 {
			name += "." + strconv.Itoa(i)
		}
		if c.Rule == "" && callers <= someCallers && !state.IssuedBefore.IsZero() {
			past := absentOr(c, "iat", claim(c, "iat", inRange(0, float64(state.IssuedBefore.Unix()))))
			out[name] = rule(nil, past, spelt(c.Provider, keys, commonSegment))
			name += anyAge
		}
		out[name] = rule(condition(c), spelt(c.Provider, keys, segment))
	}
	return out
}

// anyAge ends the name of a rule that has one for old tokens beside it.
const anyAge = ".any"

const (
	// segment is base64url without padding, of which the last character has no bits that
	// belong to no byte: each token has one spelling.
	segment = fourCharacters + `*` + lastCharacters
	// commonSegment is the same of at most 1 003 characters, which are 752 bytes of claims. It
	// is the longest of which RE2 counts the groups. A signature that verifies is as long as
	// its key has it, of RSA 2 731 characters at most, and a header has no more than maxHead:
	// so a token whose claims are so short is shorter than maxToken.
	commonSegment  = fourCharacters + `{0,250}` + lastCharacters
	fourCharacters = `(?:[\w-]{4})`
	lastCharacters = `(?:[\w-][AQgw]|[\w-]{2}[AEIMQUYcgkosw048])?`
)

// spelt is the condition that the Authorization header is one of those spellings.
func spelt(p *config.JWT, keys []PlacedKey, claims string) *rbacv3.Principal {
	return ofHeader(header("authorization", fits(spellings(p, keys, claims))))
}

// spellings is the expression for an Authorization header with a token whose own header is
// spelt in one of the ways in which issuers spell it, and whose claims are spelt so. What
// is in the header is thereby known, to the byte: an algorithm and a key that are the
// provider's, a type that may be, and nothing that would change what the signature means.
func spellings(p *config.JWT, keys []PlacedKey, claims string) string {
	var heads []string
	for _, k := range keys {
		for _, alg := range k.Algorithms {
			for _, h := range joseHeaders(p, alg, k.ID) {
				if len(h) <= maxHead {
					heads = append(heads, base64.RawURLEncoding.EncodeToString([]byte(h)))
				}
			}
		}
	}
	slices.Sort(heads)
	return bearerPrefix + `(?:` + strings.Join(slices.Compact(heads), "|") + `)\.` + claims + `\.` + segment
}

// strict is the condition that a token's claims are JSON as Check reads it. Envoy takes
// more for JSON, and its own reading of the claims does not show that it did.
func strict(few bool) *rbacv3.Principal {
	if few {
		return strictClaims()
	}
	return ofMetadata(metadataMatcher(exactValue(placeAllows), rbacMetadata, jsonResult))
}

func strictClaims() *rbacv3.Principal {
	return isNot(ofHeader(header("authorization", fits(`[^.]*\.(?:`+strings.Join(laxjson.Patterns(), "|")+`)`))))
}

// jsonFilterFor is the filter that looks at the form of claims: nothing where policies are
// so few that each does itself. Whichever of the two, this filter or the policies, comes to
// Envoy first, none is let pass whose claims were not looked at.
func jsonFilterFor(policies []*PlacedPolicy) *rbacfilterv3.RBAC {
	if callersOf(policies) <= fewCallers {
		return &rbacfilterv3.RBAC{}
	}
	return strictJSON()
}

// strictJSON is the filter that finds that out for many policies. It is a filter of its own
// since the expression is large: it is there once, and not for each policy.
func strictJSON() *rbacfilterv3.RBAC {
	return &rbacfilterv3.RBAC{
		ShadowRules: &rbacv3.RBAC{Action: rbacv3.RBAC_ALLOW, Policies: map[string]*rbacv3.Policy{"strict": {
			Permissions: []*rbacv3.Permission{{Rule: &rbacv3.Permission_Any{Any: true}}},
			Principals:  []*rbacv3.Principal{strictClaims()},
		}}},
		ShadowRulesStatPrefix: jsonPrefix,
	}
}

// joseHeaders are the spellings of a token's header: its members in every order, without
// a space, as most write it; and as Keycloak and Microsoft Entra do.
func joseHeaders(p *config.JWT, alg, kid string) []string {
	member := func(name, value string) string { return quoted(name) + ":" + quoted(value) }
	a, k := member("alg", alg), member("kid", kid)
	var out []string
	if p.TokenType == "" {
		out = append(out, "{"+a+","+k+"}", "{"+k+","+a+"}")
	}
	for _, typ := range tokenTypes(p) {
		t := member("typ", typ)
		for _, order := range [][3]string{{a, k, t}, {a, t, k}, {k, a, t}, {k, t, a}, {t, a, k}, {t, k, a}} {
			out = append(out, "{"+strings.Join(order[:], ",")+"}")
		}
		out = append(out,
			fmt.Sprintf(`{"alg":%s,"typ" : %s,"kid" : %s}`, quoted(alg), quoted(typ), quoted(kid)),
			"{"+t+","+a+","+member("x5t", kid)+","+k+"}",
		)
	}
	return out
}

// tokenTypes are the types that a provider's tokens may say.
func tokenTypes(p *config.JWT) []string {
	if p.TokenType != "" {
		return []string{p.TokenType}
	}
	return []string{"JWT", "at+jwt"}
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // a text always has an encoding
	return string(b)
}

// judged are the conditions of claims under which Check takes a token that Envoy has
// verified: what Envoy itself does not look at, or looks at less closely.
func judged(c PlacedCaller) []*rbacv3.Principal {
	date := func(name string, least float64) *rbacv3.Principal {
		return claim(c, name, inRange(least, maxDate))
	}
	all := []*rbacv3.Principal{
		date("exp", 1),
		absentOr(c, "nbf", date("nbf", 0)),
		absentOr(c, "iat", date("iat", 0)),
		claim(c, "sub", safeText()),
		absentOr(c, "tenant", claim(c, "tenant", anyText())),
		absentOr(c, "scope", claim(c, "scope", anyText())),
		absentOr(c, "scp", claim(c, "scp", anyText())),
	}
	for _, name := range sortedKeys(c.Provider.Forward) {
		all = append(all, absentOr(c, name, claim(c, name, safeText())))
	}
	return all
}

// countable are the conditions under which a limit counts by claims as Check would.
func countable(c PlacedCaller, l *config.Limit) []*rbacv3.Principal {
	if l == nil {
		return nil
	}
	var all []*rbacv3.Principal
	for _, h := range keyHeaders([]*config.Limit{l}) {
		all = append(all, absentOr(c, h.claim, claim(c, h.claim, safeText())))
	}
	return all
}

// required are the conditions of the requirement.
func required(c PlacedCaller) []*rbacv3.Principal {
	var all []*rbacv3.Principal
	granted := func(scopes ...string) *rbacv3.Principal {
		var any []*rbacv3.Principal
		for _, s := range scopes {
			word := textValueMatch(fits(`(?:.* )?` + regexp.QuoteMeta(s) + `(?: .*)?`))
			any = append(any, claim(c, "scope", word), claim(c, "scp", word))
		}
		return anyPrincipal(any)
	}
	for _, s := range c.Scopes {
		all = append(all, granted(s))
	}
	if len(c.AnyScope) > 0 {
		all = append(all, granted(c.AnyScope...))
	}
	if len(c.Roles) > 0 {
		name := c.Provider.RolesClaim
		if name == "" {
			name = "roles"
		}
		all = append(all, oneOfTexts(c, name, c.Roles))
		all = append(all, onlyTexts(c, name)...)
	}
	for _, name := range c.RequiredClaims {
		all = append(all, claim(c, name, presentValue()), isNot(claim(c, name, nullValue())))
	}
	for _, name := range sortedKeys(c.Claims) {
		all = append(all, oneOfTexts(c, name, c.Claims[name]))
	}
	return all
}

// oneOfTexts is that a claim is one of these texts, or a list with one of them.
func oneOfTexts(c PlacedCaller, name string, values []string) *rbacv3.Principal {
	var any []*rbacv3.Principal
	for _, v := range values {
		any = append(any, claim(c, name, exactValue(v)), claim(c, name, inList(exactValue(v))))
	}
	return anyPrincipal(any)
}

// onlyTexts are the conditions that a claim is no list with anything in it but texts.
// Lists of lists and of objects strictJSON has kept away.
func onlyTexts(c PlacedCaller, name string) []*rbacv3.Principal {
	var all []*rbacv3.Principal
	for _, v := range []*typematcherv3.ValueMatcher{nullValue(), boolValue(true), boolValue(false), inRange(math.Inf(-1), math.Inf(1))} {
		all = append(all, isNot(claim(c, name, inList(v))))
	}
	return all
}

// claim is a condition of a claim of a token that was verified for the provider.
func claim(c PlacedCaller, name string, v *typematcherv3.ValueMatcher) *rbacv3.Principal {
	return ofMetadata(metadataMatcher(v, jwtMetadata, c.Key, name))
}

// absentOr is a condition of a claim that need not be there.
func absentOr(c PlacedCaller, name string, otherwise *rbacv3.Principal) *rbacv3.Principal {
	return anyPrincipal([]*rbacv3.Principal{otherwise, isNot(claim(c, name, presentValue()))})
}

// safeText is a text that a header has as it is: printable ASCII, without the percent sign
// by which Check writes all else, and without spaces at its ends.
func safeText() *typematcherv3.ValueMatcher {
	return textValueMatch(fits(fmt.Sprintf(`[!-$&-~](?:[ -$&-~]{0,%d}[!-$&-~])?`, maxForwarded-2)))
}

func anyText() *typematcherv3.ValueMatcher { return textValueMatch(fits(`(?s).*`)) }

func presentValue() *typematcherv3.ValueMatcher {
	return &typematcherv3.ValueMatcher{MatchPattern: &typematcherv3.ValueMatcher_PresentMatch{PresentMatch: true}}
}

func nullValue() *typematcherv3.ValueMatcher {
	return &typematcherv3.ValueMatcher{MatchPattern: &typematcherv3.ValueMatcher_NullMatch_{NullMatch: &typematcherv3.ValueMatcher_NullMatch{}}}
}

func boolValue(b bool) *typematcherv3.ValueMatcher {
	return &typematcherv3.ValueMatcher{MatchPattern: &typematcherv3.ValueMatcher_BoolMatch{BoolMatch: b}}
}

func inRange(least, below float64) *typematcherv3.ValueMatcher {
	return &typematcherv3.ValueMatcher{MatchPattern: &typematcherv3.ValueMatcher_DoubleMatch{DoubleMatch: &typematcherv3.DoubleMatcher{
		MatchPattern: &typematcherv3.DoubleMatcher_Range{Range: &typev3.DoubleRange{Start: least, End: below}},
	}}}
}

func inList(v *typematcherv3.ValueMatcher) *typematcherv3.ValueMatcher {
	return &typematcherv3.ValueMatcher{MatchPattern: &typematcherv3.ValueMatcher_ListMatch{ListMatch: &typematcherv3.ListMatcher{
		MatchPattern: &typematcherv3.ListMatcher_OneOf{OneOf: v},
	}}}
}

func ofHeader(m *routev3.HeaderMatcher) *rbacv3.Principal {
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_Header{Header: m}}
}

func ofMetadata(m *typematcherv3.MetadataMatcher) *rbacv3.Principal {
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_SourcedMetadata{SourcedMetadata: &rbacv3.SourcedMetadata{MetadataMatcher: m}}}
}

// ofRoute is a condition of the metadata of the request's route.
func ofRoute(m *typematcherv3.MetadataMatcher) *rbacv3.Permission {
	return &rbacv3.Permission{Rule: &rbacv3.Permission_SourcedMetadata{SourcedMetadata: &rbacv3.SourcedMetadata{
		MetadataMatcher: m, MetadataSource: rbacv3.MetadataSource_ROUTE,
	}}}
}

func allPrincipals(all []*rbacv3.Principal) *rbacv3.Principal {
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_AndIds{AndIds: &rbacv3.Principal_Set{Ids: all}}}
}

func anyPrincipal(any []*rbacv3.Principal) *rbacv3.Principal {
	if len(any) == 1 {
		return any[0]
	}
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_OrIds{OrIds: &rbacv3.Principal_Set{Ids: any}}}
}

func isNot(p *rbacv3.Principal) *rbacv3.Principal {
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_NotId{NotId: p}}
}
