package door

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// maxFile bounds a certificate file. A bundle of every public authority has
// less than a fifth of it.
const maxFile = 1 << 20

// material is what handshakes are made with: the three files, understood.
type material struct {
	config *tls.Config
	leaf   *x509.Certificate
	sum    [sha256.Size]byte // of the files
}

// files are the contents of the three files, read together.
type files struct{ cert, key, ca []byte }

func (f files) sum() [sha256.Size]byte {
	h := sha256.New()
	for _, content := range [][]byte{f.cert, f.key, f.ca} {
		one := sha256.Sum256(content)
		h.Write(one[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// load reads and understands the files.
func (s Settings) load() (*material, error) {
	f, err := s.read()
	if err != nil {
		return nil, err
	}
	return s.parse(f)
}

func (s Settings) read() (f files, err error) {
	for _, of := range []struct {
		name, path string
		content    *[]byte
	}{
		{"GATEWRIGHT_GRPC_CERT", s.Cert, &f.cert},
		{"GATEWRIGHT_GRPC_KEY", s.Key, &f.key},
		{"GATEWRIGHT_GRPC_CA", s.CA, &f.ca},
	} {
		if *of.content, err = readBounded(of.path); err != nil {
			return files{}, fmt.Errorf("%s: %w", of.name, err)
		}
	}
	return f, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxFile:
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxFile)
	}
	return data, nil
}

// parse understands the files. No error repeats their content.
func (s Settings) parse(f files) (*material, error) {
	pair, err := tls.X509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, fmt.Errorf("GATEWRIGHT_GRPC_CERT=%s, GATEWRIGHT_GRPC_KEY=%s: %w", s.Cert, s.Key, err)
	}
	authorities, err := authorities(f.ca)
	if err != nil {
		return nil, fmt.Errorf("GATEWRIGHT_GRPC_CA=%s: %w", s.CA, err)
	}
	return &material{config: serverConfig(pair, authorities), leaf: pair.Leaf, sum: f.sum()}, nil
}

// authorities reads a bundle strictly: x509's own reader passes over what it
// does not understand, and a CA that is passed over is an outage or, where it
// was to replace another, a hole.
func authorities(bundle []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	n := 0
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		n++
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("block %d is a %s, must be a CERTIFICATE", n, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("block %d: %w", n, err)
		}
		pool.AddCert(c)
	}
	if n == 0 {
		return nil, errors.New("it has no certificate in PEM")
	}
	return pool, nil
}

// serverConfig asks every client for a certificate of these authorities, made
// for clients (extended key usage, where it has one).
//
// The cipher suites are left to gRPC, which takes of Go's secure ones those
// that HTTP/2 allows: ECDHE with an AEAD.
func serverConfig(pair tls.Certificate, clients *x509.CertPool) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    clients,
		MinVersion:   tls.VersionTLS12,
		// A session that is resumed is not verified anew: a client of a CA that
		// was taken away could come back with its ticket. Envoys connect
		// seldom, so that nothing is lost.
		SessionTicketsDisabled: true,
	}
}

// inTime tells whether the certificate is valid now.
func (m *material) inTime(now time.Time) error {
	switch {
	case now.After(m.leaf.NotAfter):
		return fmt.Errorf("it expired on %s", m.leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(m.leaf.NotBefore):
		return fmt.Errorf("it is not valid before %s", m.leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}
