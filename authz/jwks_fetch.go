package authz

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxJWKSBytes bounds a key set, wherever it comes from.
	maxJWKSBytes = 1 << 20
	// maxETagBytes bounds a validator. A longer one is not used.
	maxETagBytes = 256
	// fetchTimeout bounds one fetch, from the name lookup to the last byte.
	fetchTimeout = 5 * time.Second
)

// errNotAsked: only who has a version may be told that it has not changed.
var errNotAsked = errors.New("status 304 without being asked for changes")

// version is what a set was fetched as: where from, and the entity tag (RFC
// 9110, section 8.8.3) that it had there. The zero value is none.
type version struct{ URL, ETag string }

// fetched is the answer of an issuer.
type fetched struct {
	// same: the version asked with is the present one; body is empty.
	same    bool
	body    []byte
	version version
	// next is when to ask again.
	next time.Duration
}

// fetch gets a document by URL, unless it is the version that is there already.
func fetch(ctx context.Context, client *http.Client, url string, have version) (fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fetched{}, fmt.Errorf("asking for the key set: %w", err)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	conditional := have.URL == url && have.ETag != ""
	if conditional {
		request.Header.Set("If-None-Match", have.ETag)
	}
	response, err := client.Do(request)
	if err != nil {
		return fetched{}, fmt.Errorf("asking for the key set: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // nothing is lost by it
	next := refreshAfter(response.Header.Values("Cache-Control"))
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		if !conditional {
			return fetched{}, fmt.Errorf("asking for the key set: %w", errNotAsked)
		}
		return fetched{same: true, version: have, next: next}, nil
	default:
		return fetched{}, fmt.Errorf("asking for the key set: status %d", response.StatusCode)
	}
	body, err := readBounded(response.Body, maxJWKSBytes)
	if err != nil {
		return fetched{}, fmt.Errorf("reading the key set: %w", err)
	}
	got := fetched{body: body, version: version{URL: url}, next: next}
	if tag := response.Header.Get("ETag"); len(tag) <= maxETagBytes {
		got.version.ETag = tag
	}
	return got, nil
}

// The time between fetches of a URL: what Cache-Control says, between the
// bounds, or the default.
const (
	leastRefresh   = time.Minute
	defaultRefresh = 5 * time.Minute
	mostRefresh    = time.Hour
)

func refreshAfter(cacheControl []string) time.Duration {
	age := maxAge(strings.Join(cacheControl, ","))
	if age == 0 {
		return defaultRefresh
	}
	return min(max(age, leastRefresh), mostRefresh)
}

// maxAge reads max-age from a Cache-Control header (RFC 9111, section
// 5.2.2.1), or returns 0. What must not be stored is fetched at the default
// interval, too: an issuer that says so of all its pages means no key set.
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
