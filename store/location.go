package store

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// location says where a config is: path is set, or the others are.
type location struct {
	path string

	scheme string // etcd or consul
	tls    bool
	hosts  []string // host:port
	key    string
}

// defaultPorts are those of the servers themselves.
var defaultPorts = map[string]string{"etcd": "2379", "consul": "8500"}

// parseLocation reads a location. It is not read as a URL: several hosts are
// none of a URL, and errors of net/url repeat what may be a password.
func parseLocation(text string) (location, error) {
	scheme, rest, isURL := strings.Cut(text, "://")
	if text == "" {
		return location{}, errors.New("the location of the config is empty, must be a path, etcd://HOST:PORT/KEY or consul://HOST:PORT/KEY")
	}
	if !isURL {
		return location{path: text}, nil
	}
	l := location{scheme: strings.TrimSuffix(scheme, "s"), tls: strings.HasSuffix(scheme, "s")}
	if defaultPorts[l.scheme] == "" {
		return location{}, errors.New("the location of the config has an unknown scheme, must be a path, etcd://, etcds://, consul:// or consuls://")
	}
	authority, key, _ := strings.Cut(rest, "/")
	if strings.Contains(authority, "@") {
		return location{}, fmt.Errorf("the location of the config (%s://…) holds credentials, which logs would show: set GATEWRIGHT_%s_… in the environment instead",
			scheme, strings.ToUpper(l.scheme))
	}
	var err error
	if l.hosts, err = hostsOf(authority, defaultPorts[l.scheme]); err != nil {
		return location{}, fmt.Errorf("location %s: %w", text, err)
	}
	if l.scheme == "consul" && len(l.hosts) > 1 {
		return location{}, fmt.Errorf("location %s: has %d hosts, must have one: the Consul agent beside this process, which knows all servers", text, len(l.hosts))
	}
	if l.key, err = checkedKey(key); err != nil {
		return location{}, fmt.Errorf("location %s: %w", text, err)
	}
	return l, nil
}

// String is the location as it was given, but for a default port.
func (l location) String() string {
	if l.path != "" {
		return l.path
	}
	scheme := l.scheme
	if l.tls {
		scheme += "s"
	}
	return scheme + "://" + strings.Join(l.hosts, ",") + "/" + l.key
}

// hostsOf splits a list of hosts, and gives each a port.
func hostsOf(authority, defaultPort string) ([]string, error) {
	if authority == "" {
		return nil, errors.New("has no host, must be SCHEME://HOST:PORT/KEY")
	}
	hosts := strings.Split(authority, ",")
	for i, host := range hosts {
		name, port, err := net.SplitHostPort(host)
		if err != nil { // most likely without a port
			name, port, err = net.SplitHostPort(host + ":" + defaultPort)
		}
		if err != nil || name == "" || strings.ContainsAny(name, " ?#%\\") {
			return nil, fmt.Errorf("host %q: must be HOST or HOST:PORT, several of them separated by commas", host)
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return nil, fmt.Errorf("host %q: its port must be a number from 1 to 65535", host)
		}
		hosts[i] = net.JoinHostPort(name, port)
	}
	return hosts, nil
}

// checkedKey is the key as it stands: nothing in it is decoded.
func checkedKey(key string) (string, error) {
	switch {
	case key == "":
		return "", errors.New("has no key, must be SCHEME://HOST:PORT/KEY")
	case strings.HasSuffix(key, "/"):
		return "", fmt.Errorf("key %q: names a folder (it ends in a slash), must name a key", key)
	case strings.ContainsAny(key, "?#"):
		return "", fmt.Errorf("key %q: must not have ? or #: a location has no options", key)
	case !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl):
		return "", fmt.Errorf("key %q: must be UTF-8 without control characters", key)
	case len(key) > 400: // Consul takes 512, and the history's keys are longer
		return "", fmt.Errorf("key of %d bytes, must have at most 400", len(key))
	}
	return key, nil
}
