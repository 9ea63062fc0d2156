package authz

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/gatewright/gatewright/config"
)

// dialTimeout bounds a connection to an issuer, from the name lookup on.
const dialTimeout = 5 * time.Second

// errRedirect, errMetadata and errLoopback name refusals to ask.
var (
	errRedirect = errors.New("redirects are not followed")
	errMetadata = errors.New("link-local addresses and those of cloud metadata are not asked")
	errLoopback = errors.New("the name leads to this machine: to mean it, write localhost or a loopback address")
)

// remoteClient returns the HTTP client that asks issuers. A redirect is
// refused: the config says where an issuer is, and it cannot send us elsewhere.
func remoteClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
	}
}

// remoteTransport connects to issuers. It uses the environment's proxy; a nil
// trust is the system's authorities.
func remoteTransport(trust *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialRemote,
		TLSClientConfig:        trust,
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// dialRemote connects to an address whose host is as it was written: in the
// config, or in the environment where it is a proxy's. A host that is this
// machine by its writing is meant. A name that a resolver leads here is not.
func dialRemote(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout, Control: refuseInner}
	if host, _, err := net.SplitHostPort(address); err == nil && config.IsLoopback(host) {
		dialer.Control = refuseMetadata
	}
	return dialer.DialContext(ctx, network, address)
}

// refuseMetadata and refuseInner are asked with the address that is about to be
// connected to, after the name lookup, so that no DNS answer leads to where
// credentials are handed out, or, with refuseInner, to this machine.
func refuseMetadata(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("parsing the address %q: %w", address, err)
	}
	if config.HandsOutCredentials(to.Addr().WithZone("")) {
		return errMetadata
	}
	return nil
}

func refuseInner(network, address string, c syscall.RawConn) error {
	if err := refuseMetadata(network, address, c); err != nil {
		return err
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("parsing the address %q: %w", address, err)
	}
	if ip := to.Addr().Unmap(); ip.IsLoopback() || ip.IsUnspecified() {
		return errLoopback
	}
	return nil
}

// readBounded reads to the end, or fails beyond a number of bytes.
func readBounded(r io.Reader, most int) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		return nil, err
	}
	if len(body) > most {
		return nil, fmt.Errorf("more than %d bytes", most)
	}
	return body, nil
}
