package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// How a file is watched, and what that promises: a change is delivered between
// settle and poll + settle after the last write, and the reading takes its
// time; with the defaults well under 200 ms.
const (
	defaultPoll   = 20 * time.Millisecond
	defaultSettle = 30 * time.Millisecond

	// readAgain is how long a file that has been read is not read again while it
	// looks the same.
	readAgain = 100 * time.Millisecond

	// coarsestTick is how far apart the modification times of a file may have
	// to be to differ: 2 s on FAT, 1 s on some network file systems, a few
	// milliseconds on the others.
	coarsestTick = 2 * time.Second
)

// FileSource watches a config file.
//
// It asks for the file again and again, rather than to be told of changes
// (inotify). One mechanism so sees every way a file is changed: written in
// place, renamed over, deleted and made again, or reached through a symbolic
// link that was turned elsewhere in any part of its path, as Kubernetes does
// with ..data. And it works on every file system: inotify is silent on network
// and FUSE mounts and on the bind mounts of Docker Desktop, follows an inode
// and not a path, and ends without an error when its queue overflows. The
// price is fifty calls of stat a second, some 0.1 ms of CPU.
type FileSource struct {
	path         string
	poll, settle time.Duration
	failed       func(error)
	known        *[sha256.Size]byte
}

// FileOption changes a FileSource.
type FileOption func(*FileSource)

// WithKnown gives the content that the caller has already loaded, so that only
// what differs from it is delivered: a change between Load and Watch is not
// lost. Without it the first content found is delivered.
func WithKnown(data []byte) FileOption {
	return func(s *FileSource) {
		sum := sha256.Sum256(data)
		s.known = &sum
	}
}

// WithErrors is called when the file cannot be read, once until it can be read
// again: it was deleted, or may not be opened, or is larger than MaxSize. It is
// called from Watch. The default ignores errors.
func WithErrors(failed func(error)) FileOption {
	return func(s *FileSource) { s.failed = failed }
}

// WithTimes sets how often the file is looked at (20 ms), and how long it must
// not have changed before it is read (30 ms).
func WithTimes(poll, settle time.Duration) FileOption {
	return func(s *FileSource) { s.poll, s.settle = poll, settle }
}

// NewFileSource is the source of the file at path.
func NewFileSource(path string, options ...FileOption) *FileSource {
	s := &FileSource{path: path, poll: defaultPoll, settle: defaultSettle, failed: func(error) {}}
	for _, option := range options {
		option(s)
	}
	return s
}

// Watch delivers the content of the file whenever it has changed and settled,
// until the context ends, and then returns its error. Content equal to what was
// delivered last is not delivered again, but after a failure; and a file that is
// gone delivers nothing: the last content stands. deliver is called from Watch, so the next
// look waits for it.
func (s *FileSource) Watch(ctx context.Context, deliver func(data []byte)) error {
	w := &watch{source: s, delivered: s.known}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-timer.C:
			wait := w.look(now, deliver)
			timer.Reset(wait)
		}
	}
}

// watch is one run of Watch.
type watch struct {
	source *FileSource
	// seen is how the file looked last, since when it has looked so, and when
	// it was last read in that time.
	seen     sighting
	since    time.Time
	lastRead time.Time
	// delivered is the hash of what was delivered last, or nil.
	delivered *[sha256.Size]byte
	// failing tells that the present failure was reported.
	failing bool
}

// look looks at the file once, and says when to look again.
func (w *watch) look(now time.Time, deliver func([]byte)) time.Duration {
	seen := sight(w.source.path)
	if !seen.equal(w.seen) || w.since.IsZero() {
		w.seen, w.since, w.lastRead = seen, now, time.Time{}
		return w.source.settle
	}
	if settled := w.since.Add(w.source.settle); now.Before(settled) {
		return settled.Sub(now)
	}
	// A file that was written again within one tick of its modification time
	// looks the same. It is read until that tick is over, but not at each look.
	if w.lastRead.Sub(w.since) <= coarsestTick && now.Sub(w.lastRead) >= readAgain && w.take(deliver) {
		w.lastRead = now
	}
	return w.source.poll
}

// take reads the file and delivers what is new. It tells whether the file
// could be read as it was seen.
func (w *watch) take(deliver func([]byte)) bool {
	data, err := w.seen.content(w.source.path)
	switch {
	case err != nil:
		if !w.failing {
			w.failing = true
			w.source.failed(fmt.Errorf("watching config: %w", err))
		}
		return false
	case !sight(w.source.path).equal(w.seen):
		return false // changed while it was read: the next look sees that
	}
	sum := sha256.Sum256(data)
	if w.failing || w.delivered == nil || *w.delivered != sum {
		w.failing = false
		w.delivered = &sum
		deliver(data)
	}
	return true
}

// sighting is how a file looks from outside.
type sighting struct {
	info fs.FileInfo
	err  error // of stat; then info is nil
}

// sight looks at the file that a path leads to, through links.
func sight(path string) sighting {
	info, err := os.Stat(path)
	return sighting{info, err}
}

// equal tells whether two sightings are of the same file in the same state, as
// far as that can be told without reading it.
func (s sighting) equal(t sighting) bool {
	if s.info == nil || t.info == nil {
		return s.info == nil && t.info == nil
	}
	return os.SameFile(s.info, t.info) && s.info.Size() == t.info.Size() && s.info.ModTime().Equal(t.info.ModTime())
}

// content reads what was sighted.
func (s sighting) content(path string) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.info.Size() > MaxSize {
		return nil, fmt.Errorf("%s has %d bytes, must have at most %d", path, s.info.Size(), MaxSize)
	}
	if !s.info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	return readFile(path)
}
