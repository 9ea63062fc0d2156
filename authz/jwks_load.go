package authz

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"
)

const (
	// The time between fetches of a URL: what Cache-Control says, between the
	// bounds, or the default.
	leastRefresh   = time.Minute
	defaultRefresh = 5 * time.Minute
	mostRefresh    = time.Hour
	// filePoll is how often a file is looked at.
	filePoll = time.Second
)

func loadURL(client *http.Client, url string) loader {
	return func(ctx context.Context) (loaded, error) {
		got, err := fetch(ctx, client, url)
		if err != nil {
			return loaded{}, err
		}
		return loaded{body: got.body, next: refreshAfter(got.maxAge)}, nil
	}
}

func refreshAfter(maxAge time.Duration) time.Duration {
	if maxAge == 0 {
		return defaultRefresh
	}
	return min(max(maxAge, leastRefresh), mostRefresh)
}

// loadFile reads the file when it is another one than the last time, or has
// another time or size: rename, symlink swap and writing in place all show.
func loadFile(path string) loader {
	var last os.FileInfo
	return func(context.Context) (loaded, error) {
		info, err := os.Stat(path)
		if err != nil {
			last = nil
			return loaded{}, fmt.Errorf("looking at the key set: %w", err)
		}
		if !info.Mode().IsRegular() {
			return loaded{}, errors.New("looking at the key set: not a regular file")
		}
		if last != nil && sameVersion(last, info) {
			return loaded{next: filePoll, unchanged: true}, nil
		}
		body, err := readFile(path)
		if err != nil {
			return loaded{}, fmt.Errorf("reading the key set: %w", err)
		}
		last = info
		return loaded{body: body, next: filePoll}, nil
	}
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	return readBounded(file)
}

func sameVersion(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func loadInline(text string) loader {
	return func(context.Context) (loaded, error) { return loaded{body: []byte(text)}, nil }
}

// redacted is a URL for the log, without a password in it.
func redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "unreadable URL"
	}
	return u.Redacted()
}
