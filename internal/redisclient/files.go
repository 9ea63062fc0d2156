package redisclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Files are what connections need beside the URL. They come from the
// environment. The zero value has none: rediss:// then trusts the system's
// authorities.
type Files struct {
	// CA is a PEM file with the authorities that rediss:// trusts.
	CA string `envconfig:"GATEWRIGHT_REDIS_CA"`
	// Cert and Key are PEM files: the certificate that Redis is shown. They are
	// read anew for each connection, so that a renewed one is used.
	Cert string `envconfig:"GATEWRIGHT_REDIS_CERT"`
	Key  string `envconfig:"GATEWRIGHT_REDIS_KEY"`
	// Password is a file with the password, which then does not stand in the URL.
	// It is read once; a line's end behind it is no part of it.
	Password string `envconfig:"GATEWRIGHT_REDIS_PASSWORD_FILE"`
}

// addTo puts what the files say into l.
func (f Files) addTo(l *location) error {
	if err := f.addPassword(l); err != nil {
		return err
	}
	if !l.tls {
		if f.CA != "" || f.Cert != "" || f.Key != "" {
			// Who set them believes that the connection is encrypted.
			return errors.New("GATEWRIGHT_REDIS_CA, _CERT and _KEY need TLS: write rediss:// instead of redis://")
		}
		return nil
	}
	var err error
	l.base.TLSConfig, err = f.tlsConfig()
	return err
}

func (f Files) addPassword(l *location) error {
	if f.Password == "" {
		return nil
	}
	if l.base.Password != "" {
		return errors.New("a password in the URL and GATEWRIGHT_REDIS_PASSWORD_FILE: set one of them")
	}
	text, err := os.ReadFile(f.Password)
	if err != nil {
		return fmt.Errorf("reading GATEWRIGHT_REDIS_PASSWORD_FILE: %w", err)
	}
	l.base.Password = strings.TrimRight(string(text), "\r\n")
	if l.base.Password == "" {
		return fmt.Errorf("reading GATEWRIGHT_REDIS_PASSWORD_FILE: %s holds no password", f.Password)
	}
	return nil
}

// tlsConfig has no server name: go-redis takes that of the address it dials, of
// each node and each sentinel.
func (f Files) tlsConfig() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("reading GATEWRIGHT_REDIS_CA: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading GATEWRIGHT_REDIS_CA: %s holds no certificate in PEM", f.CA)
		}
	}
	if (f.Cert == "") != (f.Key == "") {
		return nil, errors.New("GATEWRIGHT_REDIS_CERT and GATEWRIGHT_REDIS_KEY belong together: one of them is not set")
	}
	if f.Cert == "" {
		return c, nil
	}
	if _, err := f.pair(nil); err != nil {
		return nil, err
	}
	c.GetClientCertificate = f.pair
	return c, nil
}

func (f Files) pair(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return nil, fmt.Errorf("reading GATEWRIGHT_REDIS_CERT and GATEWRIGHT_REDIS_KEY: %w", err)
	}
	return &pair, nil
}
