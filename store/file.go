package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/config"
)

// file keeps the config in a file, and the history in a folder of the state
// directory that belongs to this file.
//
// Writers exclude each other by a lock in that folder, so all of them must have
// the same state directory. Whoever writes without it, as editors do, is found
// by the hash of the content. Readers take no lock: a writer that hangs does not
// keep the gateway from its config.
type file struct {
	path, stateDir string
	log            *slog.Logger
	// settle is how long a file must not have changed before a watch delivers
	// it, and audit how often a watch reads without a bell.
	settle, audit time.Duration
	warned        atomic.Bool // that the history cannot be read
}

const (
	fileSettle = 50 * time.Millisecond
	fileAudit  = 5 * time.Second
	// fileRetry is the audit while there is no config: one that comes back as
	// it was rings no bell.
	fileRetry = 500 * time.Millisecond
)

func newFile(path, stateDir string, log *slog.Logger) (*file, error) {
	if stateDir == "" {
		return nil, errors.New("no state directory is given, where the history of a file is kept")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	stateDir, err = filepath.Abs(stateDir)
	return &file{path: path, stateDir: stateDir, log: log, settle: fileSettle, audit: fileAudit}, err
}

// history is that of the file which the path leads to now.
func (f *file) history() (target string, h fileHistory, err error) {
	target, err = followed(f.path)
	if err != nil {
		return "", fileHistory{}, err
	}
	return target, historyOf(f.stateDir, target), nil
}

// lock waits for other writers, and ends what one that died has left undone.
func (f *file) lock(ctx context.Context) (unlock func(), err error) {
	target, h, err := f.history()
	if err != nil {
		return nil, err
	}
	unlock, err = h.lock(ctx)
	if err != nil {
		return nil, err
	}
	if err := f.recover(target, h); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// recover ends the write that is pending, if there is one. The new file was
// ready before the entry was pending: if it is still beside the config, it was
// not put into its place, and if it is gone, it was.
func (f *file) recover(target string, h fileHistory) error {
	entries, err := h.read()
	if err != nil || entries.pending == nil {
		return err
	}
	next := replacement{target}
	switch _, err := os.Lstat(next.ready()); {
	case err == nil:
		return errors.Join(h.drop(*entries.pending), next.discard())
	case errors.Is(err, fs.ErrNotExist):
		return h.settle(entries, *entries.pending)
	default:
		return fmt.Errorf("looking what became of the last write: %w", err)
	}
}

// head reads the history before and after the file. If it is the same, the file
// belongs to it.
func (f *file) head(ctx context.Context) (head, error) {
	target, hist, err := f.history()
	if err != nil {
		return head{}, err
	}
	before := f.entries(hist)
	for {
		data, exists, err := content(target)
		if err != nil {
			return head{}, err
		}
		after := f.entries(hist)
		if reflect.DeepEqual(before, after) {
			return fileHead(data, exists, after), nil
		}
		if ctx.Err() != nil {
			return head{}, ctx.Err()
		}
		before = after
	}
}

// entries is the history, or none if it cannot be read: the gateway needs the
// config more than its history. Writers get the error from lock.
func (f *file) entries(h fileHistory) fileEntries {
	entries, err := h.read()
	if err != nil && !f.warned.Swap(true) {
		f.log.Warn("the history of the config cannot be read", "config", f.path, "error", err)
	}
	return entries
}

func fileHead(data []byte, exists bool, entries fileEntries) head {
	h := head{what: "file", revision: Absent, newest: entries.newest()}
	if !exists {
		return h
	}
	h.exists, h.data, h.hash = true, data, hashOf(data)
	if p := entries.pending; p != nil && p.Hash == h.hash {
		h.newest = *p
	}
	number := int64(0)
	if v := h.version(); v != nil {
		number = v.Number
	}
	h.revision = fmt.Sprintf("%d-%s", number, h.hash[:16])
	return h
}

// put is called under the lock. To rename the new file into its place is what
// decides that the write has happened: what is done before is undone by recover,
// what is to be done after is done by it.
func (f *file) put(_ context.Context, h head, v Version, data []byte, place bool) (bool, error) {
	target, hist, err := f.history()
	if err != nil {
		return false, err
	}
	entries, err := hist.read()
	if err != nil {
		return false, err
	}
	if err := hist.keepContent(v, data); err != nil {
		return false, err
	}
	if !place {
		return true, hist.settle(entries, v)
	}
	next := replacement{target}
	if err := next.prepare(data); err != nil {
		return false, err
	}
	if err := hist.propose(v); err != nil {
		return false, errors.Join(err, hist.drop(v), next.discard())
	}
	// What an editor wrote since h was read must not be lost.
	now, exists, err := content(target)
	same := exists == h.exists && (!exists || hashOf(now) == h.hash)
	if err == nil && same {
		err = next.commit()
	}
	if err != nil || !same {
		return false, errors.Join(err, hist.drop(v), next.discard())
	}
	if err := hist.settle(entries, v); err != nil {
		return true, fmt.Errorf("the config was written, its history was not: %w", err)
	}
	return true, nil
}

func (f *file) versions(context.Context) ([]Version, error) {
	_, hist, err := f.history()
	if err != nil {
		return nil, err
	}
	entries, err := hist.read()
	return entries.list, err
}

func (f *file) content(_ context.Context, number int64) ([]byte, error) {
	_, hist, err := f.history()
	if err != nil {
		return nil, err
	}
	return hist.content(number)
}

func (f *file) close() error { return nil }

// content reads a config file. One that is not there is no error.
func content(path string) (data []byte, exists bool, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case !info.Mode().IsRegular():
		return nil, false, fmt.Errorf("%s is not a file", path)
	}
	data, err = config.Read(path)
	if err == nil && len(data) > config.MaxSize {
		err = fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, config.MaxSize)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return data, err == nil, err
}

// settled is the head once it stays what it is: an editor may be writing.
func (f *file) settled(ctx context.Context) (head, error) {
	h, err := f.head(ctx)
	for ctx.Err() == nil {
		sleep(ctx, f.settle)
		again, errAgain := f.head(ctx)
		if h.revision == again.revision && (err == nil) == (errAgain == nil) {
			return again, errAgain
		}
		h, err = again, errAgain
	}
	return head{}, ctx.Err()
}

// watch waits for changes of the file, and of its history: there a content that
// is applied again shows.
func (f *file) watch(ctx context.Context, w *follower) error {
	for ctx.Err() == nil {
		if err := f.watchTarget(ctx, w); err != nil && ctx.Err() == nil {
			w.fail(err)
			w.pause.wait(ctx)
		}
	}
	return ctx.Err()
}

// watchTarget watches until the path leads to another file.
func (f *file) watchTarget(ctx context.Context, w *follower) error {
	target, hist, err := f.history()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	bell := make(chan struct{}, 1)
	ring := func() {
		select {
		case bell <- struct{}{}:
		default: // it has rung, and is not heard yet
		}
	}
	ended := make(chan struct{})
	sources := []string{f.path, hist.list()}
	for _, path := range sources {
		source := config.NewFileSource(path, config.WithErrors(func(error) { ring() }))
		go func() {
			_ = source.Watch(ctx, func([]byte) { ring() }) // it ends with the context only
			ended <- struct{}{}
		}()
	}
	defer func() {
		cancel()
		for range sources {
			<-ended
		}
	}()
	for {
		h, err := f.settled(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		audit := f.audit
		if !w.read(h, err) {
			audit = fileRetry
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-bell:
		case <-time.After(audit):
		}
		if now, err := followed(f.path); err != nil || now != target {
			return err
		}
	}
}
