package authz

import (
	"slices"
	"strings"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/pki"
)

// certificateNames are the lists of a provider, made to be looked through.
type certificateNames struct {
	uris, dnsNames, emails, commonNames, organizations func(name string) bool
	// spiffe are the patterns of uris that are of SPIFFE IDs.
	spiffe []pki.SPIFFEPattern
}

// newCertificateNames returns the lists of a valid provider.
func newCertificateNames(p *config.ClientCertificate) *certificateNames {
	n := &certificateNames{
		dnsNames: belowOneOf(p.DNSNames, "*.", func(name string) (string, bool) {
			_, rest, ok := strings.Cut(name, ".")
			return rest, ok
		}),
		emails: belowOneOf(p.Emails, "*@", func(name string) (string, bool) {
			at := strings.LastIndexByte(name, '@')
			return name[at+1:], at > 0
		}),
		commonNames:   belowOneOf(p.CommonNames, "", nil),
		organizations: belowOneOf(p.Organizations, "", nil),
	}
	var others []string
	for _, uri := range p.URIs {
		if !pki.IsSPIFFE(uri) {
			others = append(others, uri)
		} else if pattern, err := pki.ParseSPIFFEPattern(uri); err == nil {
			n.spiffe = append(n.spiffe, pattern)
		} else {
			// Validation has refused it. It takes nobody, and is no empty list.
			others = append(others, "")
		}
	}
	if len(p.URIs) > 0 {
		n.uris = func(name string) bool { return slices.Contains(others, name) && !pki.IsSPIFFE(name) && name != "" }
	}
	return n
}

// belowOneOf tells whether a name is in a list, or what above makes of it is in
// the list behind the wildcard. Nil stands for a list that is not given.
func belowOneOf(list []string, wildcard string, above func(name string) (string, bool)) func(name string) bool {
	if len(list) == 0 {
		return nil
	}
	exact := make(map[string]bool, len(list))
	for _, entry := range list {
		exact[entry] = true
	}
	return func(name string) bool {
		if name == "" || wildcard != "" && strings.HasPrefix(name, wildcard) {
			return false
		}
		if exact[name] {
			return true
		}
		if above == nil {
			return false
		}
		rest, ok := above(name)
		return ok && exact[wildcard+rest]
	}
}

// part returns the name of a kind that says who somebody is: the first that the
// provider's list of that kind has or, without a list, the only one. Several
// without a list are nobody's.
func (n *certificateNames) part(c *peerCertificate, part config.CertificatePart) string {
	switch part {
	case config.PartURI:
		if n.uris != nil && n.takesSPIFFE(c) {
			return c.uris[0]
		}
		if n.uris == nil && len(c.uris) == 1 && pki.IsSPIFFE(c.uris[0]) && c.spiffeID == nil {
			return "" // it means to be a SPIFFE ID, and is none
		}
		return firstOrOnly(c.uris, n.uris)
	case config.PartDNSName:
		return firstOrOnly(c.dnsNames, n.dnsNames)
	case config.PartEmail:
		return firstOrOnly(c.emails, n.emails)
	case config.PartCommonName:
		return firstOrOnly(onlyOf(c.commonNames), n.commonNames)
	case config.PartOrganization:
		return firstOrOnly(c.organizations, n.organizations)
	case config.PartOrganizationalUnit:
		return firstOrOnly(c.units, nil)
	case config.PartTrustDomain:
		if c.spiffeID != nil {
			return c.spiffeID.TrustDomain
		}
	}
	return ""
}

// takes tells whether the certificate has one of each list that is given.
func (n *certificateNames) takes(c *peerCertificate) bool {
	for _, list := range []struct {
		part  config.CertificatePart
		given bool
	}{
		{config.PartURI, n.uris != nil}, {config.PartDNSName, n.dnsNames != nil}, {config.PartEmail, n.emails != nil},
		{config.PartCommonName, n.commonNames != nil}, {config.PartOrganization, n.organizations != nil},
	} {
		if list.given && n.part(c, list.part) == "" {
			return false
		}
	}
	return true
}

func (n *certificateNames) takesSPIFFE(c *peerCertificate) bool {
	return c.spiffeID != nil && slices.ContainsFunc(n.spiffe, func(p pki.SPIFFEPattern) bool { return p.Takes(*c.spiffeID) })
}

func firstOrOnly(names []string, taken func(string) bool) string {
	if taken == nil {
		names = onlyOf(names)
	}
	for _, name := range names {
		if taken == nil || taken(name) {
			return name
		}
	}
	return ""
}

// onlyOf is a list of one, and nothing of any other: two common names are a
// certificate that two readers may read as two callers.
func onlyOf(names []string) []string {
	if len(names) != 1 {
		return nil
	}
	return names
}
