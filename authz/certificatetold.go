package authz

// certificateTold is what an Envoy is told of the certificate of a request that passes,
// where it remembers that (xds/certificates.go): who shows this certificate to a route of
// this policy, and no other credential, is this caller, and the backend is told so, until
// the certificate expires. Nothing else is judged of it: what a listener's authorities
// vouch for, and what they have taken back, its handshake knows. Nil is nothing.
func certificateTold(rq *request, c *caller) []datum {
	if rq.remembers != ofCertificates || c.by == nil || c.by.ClientCertificate == nil {
		return nil
	}
	told := []datum{{name: "expires", number: float64(c.until.Unix()), isNumber: true}}
	headers := make([]datum, 0, len(c.headers))
	for _, h := range c.headers {
		headers = append(headers, datum{name: h.name, text: validText(h.value)})
	}
	if len(headers) > 0 {
		told = append(told, datum{name: "headers", within: headers})
	}
	return told
}
