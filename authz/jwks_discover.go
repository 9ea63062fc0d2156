package authz

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatewright/gatewright/config"
)

// discoveryAge is how long a discovery document is believed. A key set that
// cannot be fetched makes it be asked for sooner.
const discoveryAge = time.Hour

// maxKeyURLBytes bounds a jwks_uri.
const maxKeyURLBytes = 2 << 10

// errOtherIssuer: a document that speaks for another issuer speaks for nobody
// (OpenID Connect Discovery 1.0, section 4.3).
var errOtherIssuer = errors.New("the discovery document is another issuer's")

// discovery finds an issuer's key set by its discovery document. It belongs to
// one source's goroutine.
type discovery struct {
	client *http.Client
	place  keyPlace

	keyURL string    // empty before it is known
	until  time.Time // when to ask for the document again
}

// load is the loader of the set that the document names. What is known of the
// document is forgotten with a set that cannot be fetched: it may have moved.
func (d *discovery) load(ctx context.Context, have version) (loaded, error) {
	if now := time.Now(); d.keyURL == "" || !now.Before(d.until) {
		keyURL, err := d.ask(ctx)
		if err != nil {
			return loaded{}, fmt.Errorf("discovering the key set: %w", err)
		}
		d.keyURL, d.until = keyURL, now.Add(discoveryAge)
	}
	got, err := fetch(ctx, d.client, d.keyURL, have)
	if err != nil {
		d.keyURL = ""
		return loaded{}, err
	}
	return loaded{fetched: got}, nil
}

// ask fetches the document, and returns its jwks_uri.
func (d *discovery) ask(ctx context.Context) (string, error) {
	got, err := fetch(ctx, d.client, discoveryURL(d.place.issuer), version{})
	if err != nil {
		return "", err
	}
	document, err := decodeObject(got.body)
	if err != nil {
		return "", fmt.Errorf("decoding the discovery document: %w", err)
	}
	if issuer, ok := document["issuer"].(string); !ok || issuer != d.place.issuer {
		return "", errOtherIssuer
	}
	keyURL, ok := document["jwks_uri"].(string)
	if !ok || len(keyURL) > maxKeyURLBytes {
		return "", errors.New("the discovery document has no jwks_uri")
	}
	if rule := keyURLRule(d.place, keyURL); rule != "" {
		return "", errors.New("the jwks_uri of the discovery document " + rule)
	}
	return keyURL, nil
}

// discoveryURL is where an issuer's document is (OpenID Connect Discovery 1.0,
// section 4.1).
func discoveryURL(issuer string) string {
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
}

// keyURLRule judges where an issuer says that its keys are. It is a URL that
// the config could have, it is not less safe than the issuer's own, and it is
// at a host that the config names: whoever can write the document, by a fault
// of the issuer's, can then not send us anywhere.
func keyURLRule(place keyPlace, keyURL string) string {
	if rule := config.RemoteURLRule(keyURL, place.PlainHTTP); rule != "" {
		return rule
	}
	to, err := url.Parse(keyURL)
	if err != nil {
		return "must be a URL"
	}
	from, err := url.Parse(place.issuer)
	switch {
	case err != nil:
		return "needs an issuer that is a URL"
	case to.Scheme != "https" && from.Scheme == "https":
		return "must be https, as its issuer is"
	}
	if at := hostPort(to.Scheme, to.Host); at != hostPort(from.Scheme, from.Host) &&
		(place.KeyHost == "" || at != hostPort(to.Scheme, place.KeyHost)) {
		return "must be at the issuer's host; keyHost allows another one"
	}
	return ""
}

// hostPort is a host in one spelling, with its port.
func hostPort(scheme, host string) string {
	u := url.URL{Host: strings.ToLower(host)}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[scheme]
	}
	return net.JoinHostPort(strings.TrimSuffix(u.Hostname(), "."), port)
}
