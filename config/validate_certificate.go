package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/internal/pki"
)

var (
	userParts   = []CertificatePart{PartURI, PartDNSName, PartEmail, PartCommonName}
	tenantParts = []CertificatePart{PartTrustDomain, PartOrganization, PartOrganizationalUnit}
	// certificateProperties are what a client certificate can forward of itself.
	certificateProperties = append(words(append(slices.Clone(userParts), tenantParts...)), "user", "tenant", "serial", "fingerprint")
)

func (c *checker) clientCertificate(at *place, p *ClientCertificate) {
	c.name(at, p.Name)
	for kind, others := range map[string][]string{"JWT": sorted(c.cfg.Auth.JWT), "API key": sorted(c.cfg.Auth.APIKey), "introspection": sorted(c.cfg.Auth.Introspection)} {
		c.must(!slices.Contains(others, p.Name), at, fmt.Sprintf("is already the name of a provider of the kind %s: limits tell callers apart by their provider", kind))
	}
	for _, list := range []struct {
		name string
		of   []string
		rule func(string) string
	}{
		{"uris", p.URIs, uriNameRule}, {"dnsNames", p.DNSNames, certificateDNSRule}, {"emails", p.Emails, emailRule},
		{"commonNames", p.CommonNames, subjectPartRule}, {"organizations", p.Organizations, subjectPartRule},
	} {
		at := at.key(list.name)
		c.words(at, list.of)
		someOf(c, at, list.of)
		for i, entry := range list.of {
			if entry != "" {
				c.obey(at.index(i), list.rule(entry))
			}
		}
	}
	c.certificateIdentity(at, p)
	for _, property := range sorted(p.Forward) {
		if !slices.Contains(certificateProperties, property) {
			c.obeyUnshown(at.key("forward").key(property), c.choiceRule(property, certificateProperties))
		}
	}
	c.forward(at.key("forward"), p.Forward)
}

// certificateIdentity holds a provider to say who the caller is, in one way.
func (c *checker) certificateIdentity(at *place, p *ClientCertificate) {
	oneOf(c, at.key("user"), p.User, userParts...)
	oneOf(c, at.key("tenant"), p.Tenant, tenantParts...)
	c.must(p.UserPart() != "", at, "must say which part of the certificate says who the caller is: by user, or by one of uris, dnsNames, emails and commonNames")
	c.must(p.Tenant == "" || p.Tenants == nil, at.key("tenants"), "must not stand beside tenant: each of them says the tenant")
	if p.Tenant == PartTrustDomain {
		c.must(len(p.URIs) > 0 && !slices.ContainsFunc(p.URIs, func(u string) bool { return !pki.IsSPIFFE(u) }), at.key("tenant"),
			"needs uris that are all SPIFFE IDs: other certificates have no trust domain")
	}
	for _, user := range sorted(p.Tenants) {
		c.must(user != "" && p.Tenants[user] != "", at.key("tenants").key(user), "must be a user, and the name of a tenant")
	}
}

// uriNameRule judges a URI that a certificate is to have, or a pattern of SPIFFE
// IDs.
func uriNameRule(s string) string {
	if pki.IsSPIFFE(s) {
		if _, err := pki.ParseSPIFFEPattern(s); err != nil {
			return err.Error()
		}
		return ""
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "":
		return "must be an absolute URI, as spiffe://example.com/billing or urn:example:billing"
	case strings.Contains(s, "*"):
		return "must not have *: it is for SPIFFE IDs, and of other URIs the whole is compared"
	case u.String() != s:
		return "must be written as " + shown(u.String())
	}
	return ""
}

// certificateDNSRule judges a DNS name that a certificate is to have. Its
// wildcard is of one label, as in certificates themselves (RFC 9525, section
// 6.3).
func certificateDNSRule(s string) string {
	name := strings.TrimPrefix(s, "*.")
	switch {
	case s != strings.ToLower(s):
		return "must be in lower case: DNS names are compared so"
	case strings.Contains(name, "*"):
		return "must be a name, or * in place of its first label, as *.example.com"
	case strings.HasSuffix(name, "."):
		return "must not end in a dot: names in certificates do not"
	}
	if rule := hostNameRule(name); rule != "" {
		return "must be a DNS name, as edge.example.com or *.example.com"
	}
	return ""
}

// emailRule judges an address that a certificate is to have.
func emailRule(s string) string {
	user, host, ok := strings.Cut(s, "@")
	switch {
	case !ok || user == "" || strings.ContainsAny(s, " \t,;<>\"") || hostNameRule(host) != "":
		return "must be an address, as billing@example.com or *@example.com"
	case host != strings.ToLower(host):
		return "must have its host in lower case: it is compared so"
	case user != "*" && strings.Contains(user, "*"):
		return "must be an address, or * in place of its first part, as *@example.com"
	}
	return ""
}

func subjectPartRule(s string) string {
	if strings.TrimSpace(s) != s {
		return "must not begin or end with a space"
	}
	return ""
}
