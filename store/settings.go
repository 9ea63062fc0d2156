package store

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	consulapi "github.com/gatewright/gatewright/internal/consul"
)

// Settings are the credentials for stores. They come from the environment and
// not from the location, which is shown in logs. The zero value has none.
type Settings struct {
	// EtcdUsername and EtcdPassword belong together.
	EtcdUsername string `envconfig:"GATEWRIGHT_ETCD_USERNAME"`
	EtcdPassword string `envconfig:"GATEWRIGHT_ETCD_PASSWORD"`
	// EtcdCA is a PEM file with the CAs that etcds:// trusts. Empty: the system's.
	EtcdCA string `envconfig:"GATEWRIGHT_ETCD_CA"`
	// EtcdCert and EtcdKey are PEM files: the client certificate for etcds://.
	EtcdCert string `envconfig:"GATEWRIGHT_ETCD_CERT"`
	EtcdKey  string `envconfig:"GATEWRIGHT_ETCD_KEY"`

	// ConsulAddr is the agent that is asked where backends are: http://HOST:PORT or
	// https://HOST:PORT. The config in Consul is where GATEWRIGHT_CONFIG says.
	ConsulAddr string `envconfig:"GATEWRIGHT_CONSUL_ADDR" default:"http://127.0.0.1:8500"`
	// ConsulToken is an ACL token (its SecretID).
	ConsulToken string `envconfig:"GATEWRIGHT_CONSUL_TOKEN"`
	// ConsulCA, ConsulCert and ConsulKey are as those of etcd, for consuls:// and https://.
	ConsulCA   string `envconfig:"GATEWRIGHT_CONSUL_CA"`
	ConsulCert string `envconfig:"GATEWRIGHT_CONSUL_CERT"`
	ConsulKey  string `envconfig:"GATEWRIGHT_CONSUL_KEY"`
}

// tlsConfig returns what the files say. prefix names the variables in errors.
func tlsConfig(prefix, ca, cert, key string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("reading %s_CA: %w", prefix, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading %s_CA: %s holds no certificate in PEM", prefix, ca)
		}
	}
	if (cert == "") != (key == "") {
		return nil, fmt.Errorf("%s_CERT and %s_KEY belong together: one of them is not set", prefix, prefix)
	}
	if cert == "" {
		return c, nil
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		return nil, fmt.Errorf("reading %s_CERT and %s_KEY: %w", prefix, prefix, err)
	}
	// They are read anew for each connection, so that a renewed certificate is used.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("reading %s_CERT and %s_KEY: %w", prefix, prefix, err)
		}
		return &pair, nil
	}
	return c, nil
}

// plaintextWith refuses files for TLS where there is none: who set them
// believes that the connection is encrypted.
func plaintextWith(prefix, plain, encrypted, ca, cert, key string) error {
	if ca == "" && cert == "" && key == "" {
		return nil
	}
	return fmt.Errorf("%s_CA, _CERT and _KEY need TLS: write %s instead of %s", prefix, encrypted, plain)
}

// CatalogueClient is the client of the Consul that knows where backends are.
func (s Settings) CatalogueClient() (*consulapi.Client, error) {
	at, err := url.Parse(s.ConsulAddr)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" || strings.Trim(at.Path, "/") != "" || at.User != nil || at.RawQuery != "" {
		return nil, errConsulAddr
	}
	client, err := s.consulClient(at.Scheme == "https", at.Host, "http://", "https://")
	if err != nil {
		return nil, fmt.Errorf("reading GATEWRIGHT_CONSUL_ADDR: %w", err)
	}
	return client, nil
}

// It does not show what was set: there may be a password in it.
var errConsulAddr = errors.New("GATEWRIGHT_CONSUL_ADDR must be http://HOST:PORT or https://HOST:PORT")

// consulClient is a client of the agent at a host. plain and encrypted are how the
// schemes are written where it was named.
func (s Settings) consulClient(encrypt bool, host, plain, encrypted string) (*consulapi.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	scheme := "http"
	var err error
	if encrypt {
		scheme = "https"
		transport.TLSClientConfig, err = tlsConfig("GATEWRIGHT_CONSUL", s.ConsulCA, s.ConsulCert, s.ConsulKey)
	} else {
		err = plaintextWith("GATEWRIGHT_CONSUL", plain, encrypted, s.ConsulCA, s.ConsulCert, s.ConsulKey)
	}
	return consulapi.New(url.URL{Scheme: scheme, Host: host}, s.ConsulToken, transport), err
}

var errPairOfEtcd = errors.New("GATEWRIGHT_ETCD_USERNAME and GATEWRIGHT_ETCD_PASSWORD belong together: one of them is not set")
