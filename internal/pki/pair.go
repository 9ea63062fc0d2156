package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"time"
)

// leastRSA is the shortest RSA key in bits, as the public authorities hold it
// (CA/Browser Forum, Baseline Requirements, section 6.1.5).
const leastRSA = 2048

// Pair is a certificate with its chain, and its key.
type Pair struct {
	// Chain and Key are PEM with nothing in it but the certificates, the holder's
	// own first, and the key in PKCS #8.
	Chain, Key []byte
	// Leaf is the holder's own certificate.
	Leaf *x509.Certificate
}

// ReadPair reads a pair that a server can show now.
func ReadPair(cert, key string, now time.Time) (*Pair, *Problem) {
	return readPair(cert, key, now, x509.ExtKeyUsageServerAuth)
}

// ReadClientPair reads a pair that a client can show now.
func ReadClientPair(cert, key string, now time.Time) (*Pair, *Problem) {
	return readPair(cert, key, now, x509.ExtKeyUsageClientAuth)
}

func readPair(cert, key string, now time.Time, use x509.ExtKeyUsage) (*Pair, *Problem) {
	certPEM, rule := read(cert)
	if rule != "" {
		return nil, problem(Cert, cert, "%s", rule)
	}
	keyPEM, rule := read(key)
	if rule != "" {
		return nil, problem(Key, key, "%s", rule)
	}
	chain, rule := blocks(certPEM, "CERTIFICATE")
	if rule != "" {
		return nil, problem(Cert, cert, "%s", rule)
	}
	for i, der := range chain {
		if _, err := x509.ParseCertificate(der); err != nil {
			return nil, problem(Cert, cert, "block %d is no certificate: %v", i+1, err)
		}
	}
	// X509KeyPair judges that the key is the certificate's. That the chain can be
	// read is known, so what fails is the key.
	pair, err := tls.X509KeyPair(encode("CERTIFICATE", chain...), keyPEM)
	if err != nil {
		return nil, problem(Key, key, "must be the private key of the certificate, in PEM and without a password: %v", err)
	}
	if rule := showable(pair.Leaf, now, use); rule != "" {
		return nil, problem(Cert, cert, "%s", rule)
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, problem(Key, key, "must be an RSA or ECDSA key")
	}
	return &Pair{Chain: encode("CERTIFICATE", chain...), Key: encode("PRIVATE KEY", der), Leaf: pair.Leaf}, nil
}

// holders are who may show a certificate, by what it is for.
var holders = map[x509.ExtKeyUsage]string{x509.ExtKeyUsageServerAuth: "servers", x509.ExtKeyUsageClientAuth: "clients"}

// showable is the rule that a certificate breaks that is to be shown, or "". Keys of
// other kinds are not known to Envoy.
func showable(leaf *x509.Certificate, now time.Time, use x509.ExtKeyUsage) string {
	if rule := inTime(leaf.NotBefore, leaf.NotAfter, now); rule != "" {
		return rule
	}
	usage := leaf.ExtKeyUsage
	if len(usage)+len(leaf.UnknownExtKeyUsage) > 0 && !slices.Contains(usage, use) && !slices.Contains(usage, x509.ExtKeyUsageAny) {
		return "must be a certificate for " + holders[use] + ": its extended key usage is for something else"
	}
	switch public := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() < leastRSA {
			return "must have an RSA key of at least 2048 bits"
		}
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() && public.Curve != elliptic.P384() {
			return "must have an ECDSA key on P-256 or P-384"
		}
	default:
		return "must have an RSA or ECDSA key"
	}
	return ""
}

// ReadCertificate is the first certificate of a file, in PEM, whatever it is for.
func ReadCertificate(path string) (string, error) {
	content, rule := read(path)
	if rule != "" {
		return "", problem(Cert, path, "%s", rule)
	}
	chain, rule := blocks(content, "CERTIFICATE")
	if rule != "" {
		return "", problem(Cert, path, "%s", rule)
	}
	return string(encode("CERTIFICATE", chain[0])), nil
}
