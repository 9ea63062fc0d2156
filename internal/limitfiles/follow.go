package limitfiles

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gatewright/gatewright/config"
)

// How a folder is watched: as config.FileSource watches a file, by looking at it
// again and again, for the same reasons.
const (
	defaultPoll   = 100 * time.Millisecond
	defaultSettle = 100 * time.Millisecond
	// coarsestTick is how far apart the modification times of a file may have to be to
	// differ, and readAgain how often it is read until then.
	coarsestTick = 2 * time.Second
	readAgain    = 500 * time.Millisecond
)

// Folder is a folder of files under watch. NewFolder makes one.
type Folder struct {
	path         string
	options      Options
	poll, settle time.Duration
	// known is the hash of what was delivered last.
	known [sha256.Size]byte
}

// NewFolder is the folder at a path.
func NewFolder(path string, o Options) *Folder {
	return &Folder{path: path, options: o, poll: defaultPoll, settle: defaultSettle}
}

// Path is where the folder is.
func (f *Folder) Path() string { return f.path }

// Read is Read of what is in the folder now. Follow delivers what differs from it.
func (f *Folder) Read() (*Table, error) {
	files, err := readAll(f.path)
	if err != nil {
		return nil, err
	}
	f.known = hash(files)
	return parse(files, f.options)
}

// Follow reads the folder whenever something in it has changed and settled, until the
// context ends, and then returns its error. What it delivers is a Table, or else what
// is wrong; files that have the same content as before are not delivered again,
// but after a failure to read them. Through symbolic links it sees what they lead to, as
// that of a ConfigMap that Kubernetes turns elsewhere.
func (f *Folder) Follow(ctx context.Context, deliver func(*Table, error)) error {
	w := &watch{folder: f, deliver: deliver}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-timer.C:
			timer.Reset(w.look(now))
		}
	}
}

// watch is one run of Follow.
type watch struct {
	folder  *Folder
	deliver func(*Table, error)
	// seen is how the folder looked last, since when it has looked so, and when it was
	// read in that time.
	seen            sighting
	since, lastRead time.Time
	// failing tells that the present failure to read was delivered.
	failing bool
}

// look looks at the folder once, and says when to look again.
func (w *watch) look(now time.Time) time.Duration {
	seen := sight(w.folder.path)
	if w.since.IsZero() || !seen.equal(w.seen) {
		w.seen, w.since, w.lastRead = seen, now, time.Time{}
		return w.folder.settle
	}
	if settled := w.since.Add(w.folder.settle); now.Before(settled) {
		return settled.Sub(now)
	}
	// A file that is written again within a tick of its modification time looks the same.
	if w.lastRead.Sub(w.since) <= coarsestTick && now.Sub(w.lastRead) >= readAgain && w.take() {
		w.lastRead = now
	}
	return w.folder.poll
}

// take reads the folder and delivers what is new. It tells whether it could be read as
// it was seen.
func (w *watch) take() bool {
	files, err := readAll(w.folder.path)
	switch {
	case err != nil:
		if !w.failing {
			w.failing = true
			w.deliver(nil, err)
		}
		return false
	case !sight(w.folder.path).equal(w.seen):
		return false // changed while it was read: the next look sees that
	}
	if sum := hash(files); w.failing || sum != w.folder.known {
		w.failing, w.folder.known = false, sum
		w.deliver(parse(files, w.folder.options))
	}
	return true
}

// sighting is how a folder looks from outside: the names of its files, and what is known of
// each without reading it. It is nil where the folder cannot be looked at.
type sighting []sighted

type sighted struct {
	name string
	info fs.FileInfo // nil where there is none
}

func sight(folder string) sighting {
	names, err := fileNames(folder)
	if err != nil {
		return nil
	}
	seen := make(sighting, len(names))
	for i, name := range names {
		info, _ := os.Stat(filepath.Join(folder, name)) // through links; nil is a sighting too
		seen[i] = sighted{name, info}
	}
	return seen
}

func (s sighting) equal(t sighting) bool {
	return (s == nil) == (t == nil) && slices.EqualFunc(s, t, func(a, b sighted) bool {
		if a.info == nil || b.info == nil {
			return a.name == b.name && a.info == nil && b.info == nil
		}
		return a.name == b.name && os.SameFile(a.info, b.info) && a.info.Size() == b.info.Size() && a.info.ModTime().Equal(b.info.ModTime())
	})
}

// readAll reads the files of a folder.
func readAll(folder string) ([]content, error) {
	names, err := fileNames(folder)
	if err != nil {
		return nil, err
	}
	files := make([]content, len(names))
	for i, name := range names {
		path := filepath.Join(folder, name)
		info, err := os.Stat(path)
		if err == nil && !info.Mode().IsRegular() {
			err = errors.New(path + " is not a file")
		}
		if err != nil {
			return nil, fmt.Errorf("reading rate limit configuration: %w", err)
		}
		data, err := config.Read(path)
		if err != nil {
			return nil, err
		}
		files[i] = content{path, data}
	}
	return files, nil
}

func hash(files []content) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%d %s %d ", len(f.path), f.path, len(f.data))
		h.Write(f.data)
	}
	h.Sum(sum[:0])
	return sum
}
