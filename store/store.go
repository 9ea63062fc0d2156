package store

import (
	"context"
	"errors"
	"time"
)

// Errors that callers tell apart.
var (
	// ErrConflict says that the config is not the one that the write was based on.
	ErrConflict = errors.New("the config was changed meanwhile")
	// ErrNotFound says that there is no config at the location, or an empty one.
	ErrNotFound = errors.New("there is no config")
	// ErrNoVersion says that the history has no such number (any more).
	ErrNoVersion = errors.New("no such version")
	// ErrTooLarge says that a content does not fit.
	ErrTooLarge = errors.New("the config is too large")
)

// Absent is the Revision of a location without a config: a Write that expects
// it makes the first one, and does not replace any.
const Absent = "absent"

// keep is how many versions the history has at most; older ones are removed.
const keep = 100

// Store is where a config and its history are. Its methods may be called from
// several goroutines at once, and by any number of processes on one location.
type Store interface {
	// Read returns the config that is there now. It does not wait for a store
	// that is away for more than some seconds. The error is ErrNotFound where
	// there is no config.
	Read(ctx context.Context) (Snapshot, error)

	// Watch delivers every change, until the context ends, and returns the
	// context's error. What differs from known is delivered at once; known nil
	// is different from all. A content written again by Apply counts as a
	// change, even if it is the same: its Force may be another.
	//
	// failed, unless nil, is told why the config cannot be read, once until it
	// can be read again, and then nil; what it then is, is delivered after that
	// where it differs. Both are called from Watch, so it waits for them.
	Watch(ctx context.Context, known *Snapshot, deliver func(Snapshot), failed func(error)) error

	// Apply makes data the config, and a version of the history. It does not
	// look into data, except that it must not be empty. Errors are ErrConflict
	// and ErrTooLarge, among others; after an error nothing was written, unless
	// the error says that this is not known.
	Apply(ctx context.Context, data []byte, w Write) (Version, error)

	// History returns the versions that are kept, the newest first.
	History(ctx context.Context) ([]Version, error)

	// Content returns the content of a version. The error is ErrNoVersion where
	// the history does not have it.
	Content(ctx context.Context, number int64) ([]byte, error)

	// Close ends all use of the store.
	Close() error
}

// Snapshot is a config at one moment.
type Snapshot struct {
	Data []byte
	// Revision stands for this state in Write.Expected. It means nothing else.
	Revision string
	// Version is the entry of the history that put Data there, or nil where
	// other hands did.
	Version *Version
}

// Version is an entry of the history.
type Version struct {
	// Number is 1, 2, 3 and so on, in the order of writes.
	Number int64 `json:"number"`
	// When is the time of the write, on the clock of who wrote.
	When time.Time `json:"when"`
	// Who wrote, and Why, in their own words. Nobody has checked them. Who is
	// empty where ByHand is set.
	Who string `json:"who,omitempty"`
	Why string `json:"why,omitempty"`
	// Hash is the SHA-256 of the content, in hexadecimal.
	Hash string `json:"hash"`
	// Force waives, for this content, the guards against a change that is
	// probably a mistake.
	Force bool `json:"force,omitempty"`
	// RolledBackTo is the number of the version whose content this one repeats,
	// 0 if it is not a rollback.
	RolledBackTo int64 `json:"rolledBackTo,omitempty"`
	// ByHand tells that other hands had put the content there, and that Apply
	// found it and recorded it before replacing it. When is the time of that.
	ByHand bool `json:"byHand,omitempty"`
}

// Write says by whom and why a config is written, and on what condition.
type Write struct {
	// Who is required: at most 256 bytes on one line.
	Who string
	// Why may have several lines, and at most 4096 bytes.
	Why string
	// Force is kept in the Version.
	Force bool
	// RolledBackTo is the number of the version that the content is from, see
	// Rollback; 0 for a new content.
	RolledBackTo int64
	// Expected is the Revision that the write is based on: with any other there
	// the error is ErrConflict. Empty: whatever is there is replaced.
	Expected string
}

// Rollback makes the content of an older version the config again, as a new
// version. The RolledBackTo of w is set by it.
func Rollback(ctx context.Context, s Store, number int64, w Write) (Version, error) {
	data, err := s.Content(ctx, number)
	if err != nil {
		return Version{}, err
	}
	w.RolledBackTo = number
	return s.Apply(ctx, data, w)
}
