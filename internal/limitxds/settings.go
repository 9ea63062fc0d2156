package limitxds

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gatewright/gatewright/internal/pki"
)

// Settings say which server is asked, and how. Each but the last is a variable of
// envoyproxy/ratelimit, with GATEWRIGHT_RATELIMIT_ before its name. The zero value asks
// nobody.
type Settings struct {
	// Server is the address: host:port, or unix:PATH. Empty: there is none.
	Server string `envconfig:"GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_SERVER_URL"`
	// NodeID is who asks: a server has resources for each node. Envoy Gateway has them
	// for envoy-ratelimit.
	NodeID string `envconfig:"GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_NODE_ID" default:"default"`
	// NodeMetadata is said of the node: name=value, with commas between them.
	NodeMetadata string `envconfig:"GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_NODE_METADATA"`
	// CA is a PEM file of the authorities that the server's certificate may be of; no
	// other is believed. With it there is TLS.
	CA string `envconfig:"GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_SERVER_TLS_CACERT"`
	// ServerName must be a name in the server's certificate. Empty: the host of Server.
	ServerName string `envconfig:"GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_SERVER_TLS_SAN"`
	// Cert and Key are PEM files: what the server is shown. Empty: nothing is.
	Cert string `envconfig:"GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_CLIENT_TLS_CERT"`
	Key  string `envconfig:"GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_CLIENT_TLS_KEY"`
	// Plaintext allows a server on another machine without TLS, though whoever is
	// between the two can then take all limits away.
	Plaintext bool `envconfig:"GATEWRIGHT_DANGEROUS_PLAINTEXT_RATELIMIT_XDS"`
}

const prefix = "GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_"

// validate tells what the settings lack or contradict, all of it.
func (s Settings) validate() error {
	var faults []error
	refuse := func(name, value, rule string) {
		faults = append(faults, fmt.Errorf("%s%s=%s: %s", prefix, name, value, rule))
	}
	if s.host() == "" && !s.isSocket() {
		refuse("SERVER_URL", s.Server, "must be host:port, or unix:PATH")
	}
	if s.NodeID == "" {
		refuse("NODE_ID", s.NodeID, "must not be empty")
	}
	if _, err := s.metadata(); err != nil {
		refuse("NODE_METADATA", s.NodeMetadata, err.Error())
	}
	if (s.Cert == "") != (s.Key == "") {
		faults = append(faults, errors.New(prefix+"CLIENT_TLS_CERT and CLIENT_TLS_KEY: set both, or none"))
	}
	switch {
	case s.CA == "" && s.Cert+s.Key+s.ServerName != "":
		faults = append(faults, errors.New(prefix+"SERVER_TLS_CACERT: not set, though other settings of TLS are: without the server's authority there is no TLS"))
	case s.CA != "" && s.Plaintext:
		faults = append(faults, errors.New("GATEWRIGHT_DANGEROUS_PLAINTEXT_RATELIMIT_XDS=true: there is TLS ("+prefix+"SERVER_TLS_CACERT): take one of the two away"))
	case s.CA == "" && !s.Plaintext && !s.isLocal():
		refuse("SERVER_URL", s.Server, "is on another machine, and nothing on the way is encrypted or authenticated: set "+
			prefix+"SERVER_TLS_CACERT, or say GATEWRIGHT_DANGEROUS_PLAINTEXT_RATELIMIT_XDS=true")
	}
	return errors.Join(faults...)
}

func (s Settings) isSocket() bool {
	path, ok := strings.CutPrefix(s.Server, "unix:")
	return ok && path != ""
}

// host is that of the server; empty where Server is no host:port.
func (s Settings) host() string {
	host, port, err := net.SplitHostPort(s.Server)
	if err != nil || port == "" || strings.Contains(host, "/") {
		return ""
	}
	return host
}

// isLocal tells that nobody else is on the way to the server.
func (s Settings) isLocal() bool {
	ip, err := netip.ParseAddr(s.host())
	return s.isSocket() || s.host() == "localhost" || err == nil && ip.IsLoopback()
}

// target is the server as gRPC names it. Its name is looked up whenever it is connected to.
func (s Settings) target() string {
	if s.isSocket() {
		return s.Server
	}
	return "dns:///" + s.Server
}

// metadata is what is said of the node.
func (s Settings) metadata() (*structpb.Struct, error) {
	if s.NodeMetadata == "" {
		return nil, nil
	}
	out := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for pair := range strings.SplitSeq(s.NodeMetadata, ",") {
		name, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok || name == "":
			return nil, errors.New("must be name=value, with commas between them")
		case out.Fields[name] != nil:
			return nil, fmt.Errorf("has %s twice", name)
		}
		out.Fields[name] = structpb.NewStringValue(value)
	}
	return out, nil
}

// credentials are what the server is connected to with. They are read anew for each
// connection, so that files that are replaced are used from the next one on.
func (s Settings) credentials(now time.Time) (credentials.TransportCredentials, error) {
	if s.CA == "" {
		return insecure.NewCredentials(), nil
	}
	authorities, problem := pki.ReadAuthorities(s.CA, "", now)
	if problem != nil {
		return nil, fmt.Errorf("%sSERVER_TLS_CACERT: %w", prefix, problem)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authorities.CA)
	out := &tls.Config{RootCAs: trusted, ServerName: s.ServerName, MinVersion: tls.VersionTLS12}
	if s.Cert != "" {
		pair, problem := pki.ReadClientPair(s.Cert, s.Key, now)
		if problem != nil {
			return nil, fmt.Errorf("%sCLIENT_TLS_CERT, CLIENT_TLS_KEY: %w", prefix, problem)
		}
		shown, err := tls.X509KeyPair(pair.Chain, pair.Key)
		if err != nil {
			return nil, fmt.Errorf("%sCLIENT_TLS_CERT, CLIENT_TLS_KEY: %w", prefix, err)
		}
		out.Certificates = []tls.Certificate{shown}
	}
	return credentials.NewTLS(out), nil
}
