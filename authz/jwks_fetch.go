package authz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// maxJWKSBytes bounds a key set, wherever it comes from.
	maxJWKSBytes = 1 << 20
	// fetchTimeout bounds one fetch, from the name lookup to the last byte.
	fetchTimeout = 5 * time.Second
)

// errTooLarge, errRedirect and errLinkLocal name refusals of the fetcher.
var (
	errTooLarge  = fmt.Errorf("more than %d bytes", maxJWKSBytes)
	errRedirect  = errors.New("redirects are not followed")
	errLinkLocal = errors.New("link-local addresses (cloud metadata) are not asked for keys")
)

// fetched is the answer of an issuer.
type fetched struct {
	body []byte
	// maxAge is what Cache-Control allows; 0 where it says nothing.
	maxAge time.Duration
}

// jwksClient returns the HTTP client for key sets. A redirect is refused: the
// config says where an issuer's keys are, and the issuer cannot send us
// elsewhere. A nil transport is the usual one.
func jwksClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = jwksTransport()
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
	}
}

func jwksTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: fetchTimeout, Control: refuseLinkLocal}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// refuseLinkLocal is asked with the address that is about to be connected to,
// after the name lookup, so that no DNS answer leads to a metadata service.
func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	host, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("parsing the address %q: %w", address, err)
	}
	if host.Addr().Unmap().IsLinkLocalUnicast() {
		return errLinkLocal
	}
	return nil
}

// fetch gets a key set by URL.
func fetch(ctx context.Context, client *http.Client, url string) (fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fetched{}, fmt.Errorf("asking for the key set: %w", err)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := client.Do(request)
	if err != nil {
		return fetched{}, fmt.Errorf("asking for the key set: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // nothing is lost by it
	if response.StatusCode != http.StatusOK {
		return fetched{}, fmt.Errorf("asking for the key set: status %d", response.StatusCode)
	}
	body, err := readBounded(response.Body)
	if err != nil {
		return fetched{}, fmt.Errorf("reading the key set: %w", err)
	}
	return fetched{body: body, maxAge: maxAge(response.Header.Get("Cache-Control"))}, nil
}

// readBounded reads to the end, or fails beyond maxJWKSBytes.
func readBounded(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxJWKSBytes+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxJWKSBytes {
		return nil, errTooLarge
	}
	return body, nil
}

// maxAge reads max-age from a Cache-Control header (RFC 9111, section
// 5.2.2.1), or returns 0.
func maxAge(cacheControl string) time.Duration {
	for directive := range strings.SplitSeq(cacheControl, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		seconds, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32)
		if err == nil && seconds > 0 {
			return time.Duration(seconds) * time.Second
		}
	}
	return 0
}
