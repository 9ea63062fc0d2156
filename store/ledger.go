package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// medium is what a ledger is written on: one value, and a history beside it.
type medium interface {
	// lock keeps other writers out until unlock is called, where the medium
	// cannot refuse a put that comes too late.
	lock(ctx context.Context) (unlock func(), err error)
	// head reads the value and the newest entry. A value that is not there is
	// no error.
	head(ctx context.Context) (head, error)
	// put adds v to the history with its content and, where place is set, makes
	// the content the value: both, or none. It returns false, with nothing
	// done, where the value or the history are not those of h any more. It
	// also removes all versions that are too old.
	put(ctx context.Context, h head, v Version, content []byte, place bool) (bool, error)
	// versions returns the history in any order.
	versions(ctx context.Context) ([]Version, error)
	// content returns a version's content, or ErrNoVersion.
	content(ctx context.Context, number int64) ([]byte, error)
	// watch gives f each head that may be news, and each error, until the
	// context ends, and returns its error.
	watch(ctx context.Context, f *follower) error
	close() error
}

// head is the value and the newest entry at one moment.
type head struct {
	what   string // the value, in words: file or key
	exists bool
	data   []byte // decoded
	hash   string // of data
	newest Version
	// revision is Snapshot.Revision.
	revision string
	// cas is what the medium compares: etcd's mod revision, Consul's index.
	cas uint64
}

// version is the entry that put the value there, or nil.
func (h head) version() *Version {
	if !h.exists || h.newest.Hash != h.hash {
		return nil
	}
	v := h.newest
	return &v
}

// snapshot is the head as its readers see it.
func (h head) snapshot() (Snapshot, error) {
	switch {
	case !h.exists:
		return Snapshot{}, fmt.Errorf("%w: the %s is not there", ErrNotFound, h.what)
	case len(h.data) == 0:
		return Snapshot{}, fmt.Errorf("%w: the %s is empty", ErrNotFound, h.what)
	}
	return Snapshot{Data: h.data, Revision: h.revision, Version: h.version()}, nil
}

// ledger is the Store on any medium.
type ledger struct {
	medium medium
	name   string
	log    *slog.Logger
}

const (
	// readTime and writeTime are how long a store may take before it counts as away.
	readTime  = 5 * time.Second
	writeTime = 15 * time.Second
	// attempts bounds how often a write starts anew since others wrote
	// meanwhile. Each time one of them has succeeded.
	attempts = 100
)

func (l *ledger) Read(ctx context.Context) (Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	h, err := l.medium.head(ctx)
	if err != nil {
		return Snapshot{}, fmt.Errorf("reading config %s: %w", l.name, err)
	}
	s, err := h.snapshot()
	if err != nil {
		return Snapshot{}, fmt.Errorf("reading config %s: %w", l.name, err)
	}
	return s, nil
}

func (l *ledger) Watch(ctx context.Context, known *Snapshot, deliver func(Snapshot), failed func(error)) error {
	return l.medium.watch(ctx, newFollower(l.name, known, deliver, failed, l.log))
}

func (l *ledger) Apply(ctx context.Context, data []byte, w Write) (Version, error) {
	v, err := l.apply(ctx, data, w)
	if err != nil {
		return Version{}, fmt.Errorf("applying config to %s: %w", l.name, err)
	}
	return v, nil
}

func (l *ledger) apply(ctx context.Context, data []byte, w Write) (Version, error) {
	if err := errors.Join(w.check(), checkedContent(data)); err != nil {
		return Version{}, err
	}
	if w.RolledBackTo != 0 {
		if err := l.isContentOf(ctx, w.RolledBackTo, data); err != nil {
			return Version{}, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	unlock, err := l.medium.lock(ctx)
	if err != nil {
		return Version{}, err
	}
	defer unlock()
	for range attempts {
		v, done, err := l.try(ctx, data, w)
		if done || err != nil {
			return v, err
		}
	}
	return Version{}, fmt.Errorf("%w, %d times in a row", ErrConflict, attempts)
}

// try writes once. It is not done where others wrote meanwhile.
func (l *ledger) try(ctx context.Context, data []byte, w Write) (v Version, done bool, err error) {
	h, err := l.medium.head(ctx)
	if err != nil {
		return Version{}, false, err
	}
	if w.Expected != "" && w.Expected != h.revision {
		return Version{}, false, conflict(h)
	}
	if h.exists && len(h.data) > 0 && h.version() == nil {
		v := byHand(h.newest.Number+1, h.hash)
		if ok, err := l.put(ctx, h, v, h.data, false); !ok || err != nil {
			return Version{}, false, err
		}
		h.newest = v
	}
	v = w.version(h.newest.Number+1, data)
	ok, err := l.put(ctx, h, v, data, true)
	return v, ok, err
}

// put is medium.put. Where its outcome is not known, since the answer was lost,
// the history tells.
func (l *ledger) put(ctx context.Context, h head, v Version, content []byte, place bool) (bool, error) {
	ok, err := l.medium.put(ctx, h, v, content, place)
	if err == nil || !errors.Is(err, errOutcomeUnknown) {
		return ok, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTime)
	defer cancel()
	versions, readErr := l.medium.versions(ctx)
	if readErr == nil && slices.Contains(versions, v) {
		return true, nil
	}
	return false, err
}

// errOutcomeUnknown marks errors of put after which the write may have been
// done, or may yet be.
var errOutcomeUnknown = errors.New("whether the config was written is not known, the history will tell")

// conflict says who was faster.
func conflict(h head) error {
	v := h.version()
	switch {
	case !h.exists:
		return fmt.Errorf("%w: it is gone", ErrConflict)
	case v == nil:
		return fmt.Errorf("%w, by hand", ErrConflict)
	}
	return fmt.Errorf("%w: it is version %d, by %q at %s", ErrConflict, v.Number, v.Who, v.When.Format(time.RFC3339))
}

// isContentOf checks that a rollback is what it says.
func (l *ledger) isContentOf(ctx context.Context, number int64, data []byte) error {
	old, err := l.Content(ctx, number)
	if err != nil {
		return err
	}
	if hashOf(old) != hashOf(data) {
		return fmt.Errorf("it is not the content of version %d, which it says to roll back to", number)
	}
	return nil
}

func (l *ledger) History(ctx context.Context) ([]Version, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	versions, err := l.medium.versions(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the history of %s: %w", l.name, err)
	}
	slices.SortFunc(versions, func(a, b Version) int { return int(b.Number - a.Number) })
	return versions[:min(len(versions), keep)], nil
}

func (l *ledger) Content(ctx context.Context, number int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	data, err := l.medium.content(ctx, number)
	if err != nil {
		return nil, fmt.Errorf("reading version %d of %s: %w", number, l.name, err)
	}
	return data, nil
}

func (l *ledger) Close() error {
	if err := l.medium.close(); err != nil {
		return fmt.Errorf("closing the config store %s: %w", l.name, err)
	}
	return nil
}
