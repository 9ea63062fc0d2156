package importer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// auth are the lines of what an operation asks, or why it cannot be asked.
func (i *importing) auth(op *openapi3.Operation, what string) (lines []string, fault string) {
	asked := i.doc.Security
	said := i.doc.Security != nil
	if op.Security != nil {
		asked, said = *op.Security, true
	}
	switch {
	case !said && i.options.Public:
		return []string{"auth: public # the document says nothing"}, ""
	case !said:
		return nil, "the document says nothing of who may call it: with --public it is for everybody"
	case len(asked) == 0:
		return []string{"auth: public"}, ""
	}
	return i.alternatives(asked, what)
}

// alternatives are those of which one must hold, each of which is several schemes
// that must all hold. Here one of a list holds (anyOf), beside some that always do
// (allOf). What does not fit into that is left out: the route asks for more than the
// document, never for less.
func (i *importing) alternatives(asked openapi3.SecurityRequirements, what string) (lines []string, fault string) {
	anonymous := false
	var single []string
	var several [][]string
	for _, alternative := range asked {
		if len(alternative) == 0 {
			anonymous = true
			continue
		}
		var all []string
		for _, scheme := range slices.Sorted(keys(alternative)) {
			requirement, rule := i.providers.requirement(scheme, alternative[scheme])
			if rule != "" {
				i.note("%s: the security scheme %s cannot be asked for: %s", what, scheme, rule)
				all = nil
				break
			}
			all = append(all, requirement)
		}
		switch {
		case len(all) == 1 && !slices.Contains(single, all[0]):
			single = append(single, all[0])
		case len(all) > 1:
			several = append(several, all)
		}
	}
	switch {
	case len(single) == 0 && len(several) == 0 && anonymous && len(asked) == 1:
		return []string{"auth: public"}, ""
	case len(single) == 0 && len(several) == 0:
		return nil, "none of its security schemes can be asked for"
	case len(single) == 0 && len(several) == 1 && !anonymous:
		return []string{"auth:", "  allOf:", "    - " + strings.Join(several[0], "\n        - ")}, ""
	case len(single) == 0:
		return nil, "it takes one of several combinations of security schemes"
	case len(several) > 0:
		i.note("%s: combinations of several security schemes beside others are left out", what)
	}
	lines = []string{"auth:", "  anyOf:"}
	for _, s := range single {
		lines = append(lines, "    - "+s)
	}
	if anonymous {
		lines = append(lines, "  allowAnonymous: true")
	}
	return lines, ""
}

func keys(m openapi3.SecurityRequirement) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// providers are the identity providers of the document's security schemes.
type providers struct {
	i       *importing
	known   map[string]provider // by scheme
	written map[string]string   // the text of those that routes have asked for, by kind and name
	names   map[string]bool
}

type provider struct {
	// kind is that of a requirement: jwt, apiKey or clientCertificate. Empty is none.
	kind, name string
	// list is the field that the strings beside the scheme are in.
	list string
	text string
	rule string
	// notes are told once somebody asks for it.
	notes []string
}

func newProviders(i *importing) *providers {
	p := &providers{i: i, known: map[string]provider{}, written: map[string]string{}, names: map[string]bool{}}
	if i.doc.Components == nil {
		return p
	}
	schemes := i.doc.Components.SecuritySchemes
	var names []string
	for name := range schemes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if s := schemes[name].Value; s != nil {
			p.known[name] = p.provider(name, s)
		}
	}
	return p
}

// requirement asks for a scheme, with what stands beside it.
func (p *providers) requirement(scheme string, words []string) (text, rule string) {
	known, ok := p.known[scheme]
	switch {
	case !ok:
		return "", "the document does not define it"
	case known.rule != "":
		return "", known.rule
	case len(words) > 0 && known.list == "":
		return "", "what a certificate must have is not said by words beside it, but by its provider"
	}
	if p.written[known.kind+" "+known.name] == "" {
		for _, note := range known.notes {
			p.i.note("%s", note)
		}
		p.written[known.kind+" "+known.name] = known.text
	}
	text = "{" + known.kind + ": " + quoted(known.name)
	switch {
	case known.list == "roles" && len(words) > 1:
		// Of a list of roles here one is enough, and the document wants them all.
		text += ", rule: " + quoted(allRoles(words))
	case len(words) > 0:
		text += ", " + known.list + ": " + list(words)
	}
	return text + "}", ""
}

// allRoles is an expression that holds where a caller has each of these roles.
func allRoles(roles []string) string {
	each := make([]string, len(roles))
	for i, role := range roles {
		each[i] = quoted(role) + " in claims.roles"
	}
	return strings.Join(each, " && ")
}

func (p *providers) provider(scheme string, s *openapi3.SecurityScheme) provider {
	name := p.name(scheme)
	switch s.Type {
	case "oauth2":
		return p.jwt(name, scheme, "scopes", "")
	case "openIdConnect":
		issuer, found := strings.CutSuffix(s.OpenIdConnectUrl, "/.well-known/openid-configuration")
		if !found {
			issuer = ""
		}
		return p.jwt(name, scheme, "scopes", issuer)
	case "http":
		if strings.EqualFold(s.Scheme, "bearer") {
			known := p.jwt(name, scheme, "roles", "")
			if s.BearerFormat != "" && !strings.EqualFold(s.BearerFormat, "jwt") {
				known.notes = append(known.notes, fmt.Sprintf("the tokens of %s are %s: if they are no JWTs, they are for auth.introspection", scheme, s.BearerFormat))
			}
			return known
		}
		return provider{rule: "HTTP's scheme " + s.Scheme + " is none of this gateway's"}
	case "apiKey":
		switch s.In {
		case "header", "query":
			if s.In == "header" && strings.EqualFold(s.Name, "authorization") {
				return provider{rule: "an API key must have a header of its own"}
			}
			return provider{
				kind: "apiKey", name: name, list: "permissions",
				text:  fmt.Sprintf("    %s: {from: {%s: %s}}\n", quoted(name), s.In, quoted(s.Name)),
				notes: []string{"the keys of " + scheme + " are Gatewright's own (gatewright keys create, import)"},
			}
		}
		return provider{rule: "an API key is in a header or the query, not in a " + s.In}
	case "mutualTLS":
		if p.i.options.Listener.ClientCA == "" {
			return provider{rule: "it needs the authorities of client certificates: say --client-ca, --tls-cert and --tls-key"}
		}
		return provider{
			kind: "clientCertificate", name: name,
			text:  "    " + quoted(name) + ": {user: commonName}\n",
			notes: []string{"the scheme " + scheme + " takes each certificate with a common name that --client-ca vouches for: auth.clientCertificate can say more"},
		}
	}
	return provider{rule: "the type " + s.Type + " is not known"}
}

// name is a scheme's, in the form that names have here.
func (p *providers) name(scheme string) string {
	name := strings.Trim(notInNames.ReplaceAllString(scheme, "-"), "-._")
	if len(name) > maxName {
		name = strings.TrimRight(name[:maxName], "-._")
	}
	if name == "" || strings.HasPrefix(name, "gatewright") {
		name = strings.TrimRight("scheme-"+name, "-")
	}
	unique := name
	for n := 2; p.names[unique]; n++ {
		unique = fmt.Sprintf("%s-%d", name, n)
	}
	p.names[unique] = true
	return unique
}

// No token is of this issuer, or for this audience: who forgets to say which lets
// nobody in.
const (
	unsaidIssuer   = "https://issuer.invalid/"
	unsaidAudience = "unsaid"
)

func (p *providers) jwt(name, scheme, words, issuer string) provider {
	known := provider{kind: "jwt", name: name, list: words}
	if p.i.options.Issuer != "" {
		issuer = p.i.options.Issuer
	}
	if issuer == "" {
		issuer = unsaidIssuer
		known.notes = append(known.notes, "who issues the tokens of "+scheme+": say --issuer, or write the issuer; until then no token holds")
	}
	audience := p.i.options.Audience
	if audience == "" {
		audience = unsaidAudience
		known.notes = append(known.notes, "whom the tokens of "+scheme+" are for: say --audience, or write the audiences; until then no token holds")
	}
	known.text = fmt.Sprintf("    %s: {issuer: %s, audiences: [%s], jwks: {discover: true}}\n", quoted(name), quoted(issuer), quoted(audience))
	return known
}

// text is the section auth of what routes ask for.
func (p *providers) text() string {
	var b strings.Builder
	for _, kind := range []string{"jwt", "apiKey", "clientCertificate"} {
		var texts []string
		for key, text := range p.written {
			if strings.HasPrefix(key, kind+" ") {
				texts = append(texts, text)
			}
		}
		if len(texts) > 0 {
			slices.Sort(texts)
			b.WriteString("  " + kind + ":\n" + strings.Join(texts, ""))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\nauth:\n" + b.String()
}
