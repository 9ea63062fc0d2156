package config

// CipherSuites are the suites of TLS 1.2 that can be accepted, by IANA's names: those
// that have forward secrecy and authenticated encryption (RFC 9325, section 4.2).
func CipherSuites() []string {
	return []string{
		"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
		"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
		"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
	}
}

// DefaultCurves are the groups in which keys are agreed on where a listener does not
// say, the best first. The first is safe from who keeps what he hears until there are
// quantum computers (draft-ietf-tls-ecdhe-mlkem); who does not know it takes the next.
func DefaultCurves() []string { return []string{"X25519MLKEM768", "X25519", "P-256", "P-384"} }
