package config

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// watched is a FileSource under watch in the background, for tests that change
// real files.
type watched struct {
	path      string
	delivered chan string
	failures  chan error
}

// watchFile writes content to a file in a new folder, and watches it. The
// first content has been delivered when it returns.
func watchFile(t *testing.T, content string) watched {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, path, content)
	w := watchPath(t, path)
	w.want(t, content)
	return w
}

func watchPath(t *testing.T, path string, options ...FileOption) watched {
	t.Helper()
	w := watched{path: path, delivered: make(chan string, 100), failures: make(chan error, 100)}
	// A file is truncated and written in two system calls. On a busy machine
	// there may be more between them than the default time to settle.
	const settle = 500 * time.Millisecond
	options = append([]FileOption{WithErrors(func(err error) { w.failures <- err }), WithTimes(defaultPoll, settle)}, options...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- NewFileSource(path, options...).Watch(ctx, func(data []byte) { w.delivered <- string(data) })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch ended with %v", err)
		}
	})
	return w
}

// patience is longer than any delivery takes on a busy machine. How long one
// may take is tested without a clock, in TestDeliveryIsSoon.
const patience = 30 * time.Second

// want waits for the next delivery.
func (w watched) want(t *testing.T, content string) {
	t.Helper()
	select {
	case got := <-w.delivered:
		if got != content {
			t.Fatalf("delivered %q, want %q", got, content)
		}
	case err := <-w.failures:
		t.Fatalf("failure %v, want %q", err, content)
	case <-time.After(patience):
		t.Fatalf("%q was not delivered", content)
	}
}

// wantFailure waits for the next failure.
func (w watched) wantFailure(t *testing.T, target error) {
	t.Helper()
	select {
	case err := <-w.failures:
		if !errors.Is(err, target) {
			t.Fatalf("failure %v, want %v", err, target)
		}
	case got := <-w.delivered:
		t.Fatalf("delivered %q, want a failure", got)
	case <-time.After(patience):
		t.Fatal("the failure was not reported")
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// must fails a test for an error that is none of what it is about.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWatchRenameOver(t *testing.T) {
	t.Parallel()
	w := watchFile(t, "one")
	for _, content := range []string{"two", "three"} {
		write(t, w.path+".tmp", content)
		must(t, os.Rename(w.path+".tmp", w.path))
		w.want(t, content)
	}
}

// TestWatchBackupAndNew is how vi writes: the old file is renamed away, and a
// new one made.
func TestWatchBackupAndNew(t *testing.T) {
	t.Parallel()
	w := watchFile(t, "one")
	must(t, os.Rename(w.path, w.path+"~"))
	write(t, w.path, "two")
	w.want(t, "two")
}

func TestWatchWriteInPlace(t *testing.T) {
	t.Parallel()
	w := watchFile(t, "one")
	write(t, w.path, "two, longer")
	w.want(t, "two, longer")
	write(t, w.path, "3")
	w.want(t, "3")
}

// TestWatchSymlinkSwap is how Kubernetes updates a ConfigMap: the file is a
// link through the link ..data, which is renamed over.
func TestWatchSymlinkSwap(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	point := func(version, content string) {
		must(t, os.Mkdir(filepath.Join(folder, version), 0o700))
		write(t, filepath.Join(folder, version, "gateway.yaml"), content)
		must(t, os.Symlink(version, filepath.Join(folder, "..data_tmp")))
		must(t, os.Rename(filepath.Join(folder, "..data_tmp"), filepath.Join(folder, "..data")))
	}
	point("v1", "one")
	must(t, os.Symlink(filepath.Join("..data", "gateway.yaml"), filepath.Join(folder, "gateway.yaml")))
	w := watchPath(t, filepath.Join(folder, "gateway.yaml"))
	w.want(t, "one")
	point("v2", "two")
	w.want(t, "two")
	must(t, os.RemoveAll(filepath.Join(folder, "v1")))
	point("v3", "six")
	w.want(t, "six")
}

func TestWatchDeletedAndMadeAgain(t *testing.T) {
	t.Parallel()
	w := watchFile(t, "one")
	must(t, os.Remove(w.path))
	w.wantFailure(t, fs.ErrNotExist)
	write(t, w.path, "two")
	w.want(t, "two") // and one failure for the one time it was gone
	must(t, os.Remove(w.path))
	w.wantFailure(t, fs.ErrNotExist)
}

func TestWatchWaitsForAFile(t *testing.T) {
	t.Parallel()
	w := watchPath(t, filepath.Join(t.TempDir(), "gateway.yaml"))
	w.wantFailure(t, fs.ErrNotExist)
	write(t, w.path, "one")
	w.want(t, "one")
}

// TestWatchIgnoresEqualContent: what is written again, or was known before,
// is not delivered; the next delivery is the next change.
func TestWatchIgnoresEqualContent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, path, "one")
	w := watchPath(t, path, WithKnown([]byte("one")))
	write(t, path+".tmp", "one")
	must(t, os.Rename(path+".tmp", path))
	write(t, path, "two")
	w.want(t, "two")
}

// TestWatchFindsTheSameTick changes a file so that neither its size nor its
// time nor its inode tells: as an edit within one tick of the clock.
func TestWatchFindsTheSameTick(t *testing.T) {
	t.Parallel()
	w := watchFile(t, "one")
	info, err := os.Stat(w.path)
	must(t, err)
	f, err := os.OpenFile(w.path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("two"), 0)
	must(t, err)
	must(t, f.Close())
	must(t, os.Chtimes(w.path, time.Time{}, info.ModTime()))
	w.want(t, "two")
}

// steps drives a watch by hand, with a clock of its own.
type steps struct {
	watch     *watch
	now       time.Time
	delivered []string
	failures  int
}

func newSteps(path string, options ...FileOption) *steps {
	s := &steps{now: time.Unix(1_700_000_000, 0)}
	options = append(options, WithErrors(func(error) { s.failures++ }))
	source := NewFileSource(path, options...)
	s.watch = &watch{source: source, delivered: source.known}
	return s
}

// look looks once, and passes the time until the next look.
func (s *steps) look() {
	s.now = s.now.Add(s.watch.look(s.now, func(data []byte) { s.delivered = append(s.delivered, string(data)) }))
}

// TestDeliveryIsSoon counts the time from a write to its delivery, at the
// worst moment: just after a look.
func TestDeliveryIsSoon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, path, "one")
	s := newSteps(path)
	for range 100 { // until the file is old, and no longer read at each look
		s.look()
	}
	written := s.now.Add(-s.watch.source.poll)
	write(t, path, "two, longer")
	for len(s.delivered) == 1 {
		before := s.now
		s.look()
		if took := before.Sub(written); took > 200*time.Millisecond {
			t.Fatalf("not delivered after %v", took)
		}
	}
	if s.delivered[1] != "two, longer" {
		t.Errorf("delivered %q", s.delivered)
	}
}

// TestWatchWaitsUntilSettled writes in steps, each within the time that the
// file must have been left alone: nothing but the last is delivered.
func TestWatchWaitsUntilSettled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, path, "one")
	s := newSteps(path, WithKnown([]byte("one")))
	for _, content := range []string{"", "t", "tw", "two"} {
		write(t, path, content)
		s.look() // sees the change, and would read it after settling
		if len(s.delivered) > 0 {
			t.Fatalf("delivered %q while it was written", s.delivered)
		}
	}
	s.look()
	if len(s.delivered) != 1 || s.delivered[0] != "two" {
		t.Errorf("delivered %q, want what was written last", s.delivered)
	}
}

// TestWatchReportsAFailureOnce, until the file was read again.
func TestWatchReportsAFailureOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	s := newSteps(path)
	for range 50 {
		s.look()
	}
	if s.failures != 1 {
		t.Errorf("a missing file was reported %d times", s.failures)
	}
	must(t, os.Mkdir(path, 0o700)) // another failure of the same outage
	for range 50 {
		s.look()
	}
	if s.failures != 1 {
		t.Errorf("the outage was reported %d times", s.failures)
	}
	must(t, os.Remove(path))
	write(t, path, "one")
	for range 50 {
		s.look()
	}
	must(t, os.Remove(path))
	for range 50 {
		s.look()
	}
	if s.failures != 2 || len(s.delivered) != 1 {
		t.Errorf("%d failures and %q, want 2 and one content", s.failures, s.delivered)
	}
}

// TestWatchDeliversAfterAFailure, also what it has delivered before: whoever was
// told of the failure hears that it is over.
func TestWatchDeliversAfterAFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, path, "one")
	s := newSteps(path, WithKnown([]byte("one")))
	for range 50 {
		s.look()
	}
	must(t, os.Remove(path))
	for range 50 {
		s.look()
	}
	write(t, path, "one")
	for range 50 {
		s.look()
	}
	if s.failures != 1 || !slices.Equal(s.delivered, []string{"one"}) {
		t.Errorf("%d failures and %q, want 1 and the content once", s.failures, s.delivered)
	}
}

// TestWatchMissesAGapShorterThanSettling: who deletes and makes the file again
// at once has not failed.
func TestWatchMissesAGapShorterThanSettling(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, path, "one")
	s := newSteps(path, WithKnown([]byte("one")))
	s.look()
	s.look()
	must(t, os.Remove(path))
	s.look()
	write(t, path, "two")
	for range 5 {
		s.look()
	}
	if s.failures != 0 || len(s.delivered) != 1 {
		t.Errorf("%d failures and %q, want none and the new content", s.failures, s.delivered)
	}
}

// TestWatchReadsAnOldFileNoMore: a file that has not changed for long is looked
// at, and not read.
func TestWatchReadsAnOldFileNoMore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, path, "one")
	s := newSteps(path)
	for range 200 {
		s.look()
	}
	read := s.watch.lastRead
	if age := read.Sub(s.watch.since); age <= coarsestTick {
		t.Errorf("last read when it was %v old: an edit in the same tick could be missed", age)
	}
	s.look()
	if s.watch.lastRead != read {
		t.Error("an old file is read again and again")
	}
}

// TestWatchDropsWhatChangedWhileRead: what is read is not what was seen to
// have settled.
func TestWatchDropsWhatChangedWhileRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, path, "one")
	s := newSteps(path)
	s.look()
	write(t, path, "two, longer") // between the look and the reading
	if s.watch.take(func(data []byte) { t.Errorf("delivered %q", data) }) {
		t.Error("a file that changed passes for read")
	}
}

// TestWatchRefusesADevice, which might never end, or never begin.
func TestWatchRefusesADevice(t *testing.T) {
	s := newSteps(os.DevNull)
	for range 5 {
		s.look()
	}
	if s.failures != 1 || len(s.delivered) != 0 {
		t.Errorf("%d failures and %q, want a failure", s.failures, s.delivered)
	}
}

func TestWatchRefusesALargeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	write(t, path, "")
	must(t, os.Truncate(path, MaxSize+1)) // sparse
	s := newSteps(path)
	for range 5 {
		s.look()
	}
	if s.failures != 1 || len(s.delivered) != 0 {
		t.Errorf("%d failures and %d deliveries, want a failure", s.failures, len(s.delivered))
	}
}
