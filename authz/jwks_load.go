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

// filePoll is how often a file is looked at.
const filePoll = time.Second

// loader brings the text of a key set, or says that it is the version that is
// there already.
type loader func(ctx context.Context, have version) (loaded, error)

// loaded is a text, and when to load it again.
type loaded struct {
	fetched
	// unread: nothing was read, since nothing can have changed.
	unread bool
}

func loadURL(client *http.Client, url string) loader {
	return func(ctx context.Context, have version) (loaded, error) {
		got, err := fetch(ctx, client, url, have)
		return loaded{fetched: got}, err
	}
}

// loadFile reads the file when it is another one than the last time, or has
// another time or size: rename, symlink swap and writing in place all show.
func loadFile(path string) loader {
	var last os.FileInfo
	return func(context.Context, version) (loaded, error) {
		info, err := os.Stat(path)
		if err != nil {
			last = nil
			return loaded{}, fmt.Errorf("looking at the key set: %w", err)
		}
		if !info.Mode().IsRegular() {
			return loaded{}, errors.New("looking at the key set: not a regular file")
		}
		if last != nil && sameVersion(last, info) {
			return loaded{fetched: fetched{next: filePoll}, unread: true}, nil
		}
		body, err := readFile(path, maxJWKSBytes)
		if err != nil {
			return loaded{}, fmt.Errorf("reading the key set: %w", err)
		}
		last = info
		return loaded{fetched: fetched{body: body, next: filePoll}}, nil
	}
}

func readFile(path string, most int) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	return readBounded(file, most)
}

func sameVersion(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func loadInline(text string) loader {
	return func(context.Context, version) (loaded, error) {
		return loaded{fetched: fetched{body: []byte(text)}}, nil
	}
}

// redacted is a URL for the log, without a password in it.
func redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "unreadable URL"
	}
	return u.Redacted()
}
