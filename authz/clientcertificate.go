package authz

import (
	"time"

	"github.com/gatewright/gatewright/config"
)

// peer is the client's certificate, which is read once.
func (s *Server) peer(shown *credentials) (*peerCertificate, *refusal) {
	if !shown.peerRead {
		shown.peerRead = true
		if text := shown.request.certificate; text == "" {
			shown.peerRefused = refuse(ReasonCredentialMissing)
		} else if c, err := s.certificates.read(text); err != nil {
			shown.peerRefused = refuse(ReasonClientCertificateInvalid)
		} else {
			shown.peer = c
		}
	}
	return shown.peer, shown.peerRefused
}

// satisfyClientCertificate returns the caller whom the certificate of the
// connection names. Envoy has verified it in the handshake. Since then it may
// have expired: a connection can outlive its certificate.
func (s *Server) satisfyClientCertificate(shown *credentials, q *Requirement, now time.Time) (*caller, *refusal) {
	cert, refused := s.peer(shown)
	switch {
	case refused != nil:
		return nil, refused
	case q.names == nil:
		return nil, refuse(ReasonInternal)
	case now.After(cert.notAfter):
		return nil, refuse(ReasonClientCertificateExpired)
	case now.Before(cert.notBefore):
		return nil, refuse(ReasonClientCertificateInvalid)
	case !q.names.takes(cert):
		return nil, refuse(ReasonClientCertificateNotAccepted)
	}
	p := q.ClientCertificate
	user := q.names.part(cert, p.UserPart())
	if user == "" {
		return nil, refuseWith(ReasonClientCertificateNotAccepted, "The client certificate does not say who the caller is.")
	}
	c := &caller{by: q, connection: true, until: cert.notAfter, Identity: Identity{Provider: p.Name, User: user, Tenant: p.Tenants[user]}}
	if p.Tenant != "" {
		if c.Tenant = q.names.part(cert, p.Tenant); c.Tenant == "" {
			return c, refuseWith(ReasonClientCertificateNotAccepted, "The client certificate does not say which tenant the caller is of.")
		}
	}
	c.headers, refused = forwardCertificate(q, cert, c)
	return c, refused
}

// forwardCertificate returns the headers that tell the backend of a certificate.
func forwardCertificate(q *Requirement, cert *peerCertificate, c *caller) ([]header, *refusal) {
	return forwarded(q, ReasonClientCertificateInvalid, func(property string) string {
		switch property {
		case "user":
			return headerText(c.User, "")
		case "tenant":
			return headerText(c.Tenant, "")
		case "serial":
			return cert.serial
		case "fingerprint":
			return cert.fingerprint
		}
		return headerText(q.names.part(cert, config.CertificatePart(property)), "")
	})
}

// checkBinding holds a token to the certificate of the connection that it came
// over, where its provider asks for that (RFC 8705, section 3.1). The token is
// stolen goods else, whatever other certificate is shown.
func (s *Server) checkBinding(shown *credentials, c claims, provider *config.JWT) *refusal {
	if !provider.CertificateBound {
		return nil
	}
	confirmation, _ := c["cnf"].(map[string]any)
	bound, _ := confirmation["x5t#S256"].(string)
	cert, refused := s.peer(shown)
	if refused != nil || bound == "" || bound != cert.thumbprint {
		return refuse(ReasonTokenBindingMismatch)
	}
	return nil
}
