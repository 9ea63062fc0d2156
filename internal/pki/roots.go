package pki

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"slices"
	"time"
)

// rootsVariable names the bundle of the machine's authorities, as for OpenSSL and
// for Go itself.
const rootsVariable = "SSL_CERT_FILE"

// rootsFiles are where systems keep their bundle: those of Go's crypto/x509, which
// reads them and hands none of it out.
var rootsFiles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Alpine, Gentoo
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL 7 and newer
	"/etc/pki/tls/certs/ca-bundle.crt",                  // RHEL 6
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/pki/tls/cacert.pem",                           // OpenELEC
	"/etc/ssl/cert.pem",                                 // Alpine, macOS, the BSDs
}

// SystemRoots is the path of the bundle of the authorities that this machine trusts,
// and whether there is one.
func SystemRoots() (path string, found bool) {
	if path := os.Getenv(rootsVariable); path != "" {
		return path, true
	}
	i := slices.IndexFunc(rootsFiles, func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && info.Mode().IsRegular()
	})
	if i < 0 {
		return "", false
	}
	return rootsFiles[i], true
}

// ReadSystemRoots reads that bundle. It is not of the operator's making, so that
// whatever in it is no authority is passed over, as by everybody else: nothing is
// trusted for it. NotAfter stays zero, since some authority of the world always is
// about to expire.
func ReadSystemRoots(now time.Time) (*Authorities, *Problem) {
	path, found := SystemRoots()
	if !found {
		return nil, problem(CA, rootsFiles[0], "%s", noSuchFile)
	}
	content, rule := read(path)
	if rule != "" {
		return nil, problem(CA, path, "%s", rule)
	}
	var ders [][]byte
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" && c.IsCA && inTime(c.NotBefore, c.NotAfter, now) == "" {
			ders = append(ders, block.Bytes)
		}
	}
	if len(ders) == 0 {
		return nil, problem(CA, path, "must have an authority that is valid now")
	}
	return &Authorities{CA: encode("CERTIFICATE", ders...)}, nil
}
