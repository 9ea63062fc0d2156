package pki

import (
	"errors"
	"fmt"
	"strings"
)

// The bounds of a SPIFFE ID (SPIFFE-ID, section 2.3).
const (
	maxSPIFFEID    = 2048
	maxTrustDomain = 255
)

const spiffeScheme = "spiffe://"

// SPIFFEID is the name of a workload (https://spiffe.io, SPIFFE-ID, section 2).
type SPIFFEID struct {
	// TrustDomain is who vouches for the name.
	TrustDomain string
	// Path are the segments of the rest. A workload has at least one.
	Path []string
}

// IsSPIFFE tells a URI that is, or would be, a SPIFFE ID.
func IsSPIFFE(uri string) bool {
	return len(uri) >= len("spiffe:") && strings.EqualFold(uri[:len("spiffe:")], "spiffe:")
}

// ParseSPIFFEID reads the name of a workload in its one spelling: nothing in it is
// escaped, and no two names are the same.
func ParseSPIFFEID(uri string) (SPIFFEID, error) {
	return parseSPIFFE(uri, func(string, bool) bool { return false })
}

// SPIFFEPattern is a SPIFFE ID in which * stands for one segment of the path, and
// ** at the end for any that there are, at least one.
type SPIFFEPattern struct{ SPIFFEID }

// ParseSPIFFEPattern reads a pattern.
func ParseSPIFFEPattern(text string) (SPIFFEPattern, error) {
	id, err := parseSPIFFE(text, func(segment string, last bool) bool {
		return segment == "*" || segment == "**" && last
	})
	return SPIFFEPattern{id}, err
}

// Takes tells whether a name fits the pattern.
func (p SPIFFEPattern) Takes(id SPIFFEID) bool {
	if p.TrustDomain != id.TrustDomain {
		return false
	}
	for i, segment := range p.Path {
		switch {
		case segment == "**":
			return len(id.Path) > i
		case i >= len(id.Path) || segment != "*" && segment != id.Path[i]:
			return false
		}
	}
	return len(p.Path) == len(id.Path)
}

func parseSPIFFE(uri string, alsoSegment func(segment string, last bool) bool) (SPIFFEID, error) {
	rest, ok := strings.CutPrefix(uri, spiffeScheme)
	switch {
	case !ok:
		return SPIFFEID{}, fmt.Errorf("must begin with %s", spiffeScheme)
	case len(uri) > maxSPIFFEID:
		return SPIFFEID{}, fmt.Errorf("must have at most %d bytes", maxSPIFFEID)
	}
	segments := strings.Split(rest, "/")
	id := SPIFFEID{TrustDomain: segments[0], Path: segments[1:]}
	switch {
	case id.TrustDomain == "" || len(id.TrustDomain) > maxTrustDomain || !only(id.TrustDomain, "abcdefghijklmnopqrstuvwxyz0123456789.-_"):
		return SPIFFEID{}, fmt.Errorf("must have a trust domain of 1 to %d lower-case letters, digits, dots, dashes and underscores", maxTrustDomain)
	case len(id.Path) == 0:
		return SPIFFEID{}, errors.New("must have a path: a trust domain is no workload")
	}
	for i, segment := range id.Path {
		if !isSegment(segment) && !alsoSegment(segment, i == len(id.Path)-1) {
			return SPIFFEID{}, errors.New("must have a path of segments of letters, digits, dots, dashes and underscores, none of them empty or dots alone")
		}
	}
	return id, nil
}

func isSegment(s string) bool {
	return s != "" && s != "." && s != ".." &&
		only(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")
}

// only tells a text of these characters alone.
func only(s, chars string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(chars, r) })
}
