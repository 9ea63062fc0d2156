package store

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// openFile opens a store on a file with a content, in a folder of its own.
func openFile(t *testing.T, content string) (path string, s *ledger) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "gateway.yaml")
	if content != "" {
		must(t, os.WriteFile(path, []byte(content), 0o600))
	}
	return path, openWith(t, path, Settings{}, t.TempDir())
}

func TestFileKeepsItsPermissions(t *testing.T) {
	t.Parallel()
	path, s := openFile(t, "one")
	must(t, os.Chmod(path, 0o640))
	apply(t, s, "two", Write{})
	info, err := os.Stat(path)
	must(t, err)
	want(t, "mode", info.Mode(), fs.FileMode(0o640))
	entries, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	want(t, "files beside it", len(entries), 1)
}

func TestFileKeepsItsOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	path, s := openFile(t, "one")
	must(t, os.Chown(path, 1234, 5678))
	apply(t, s, "two", Write{})
	info, err := os.Stat(path)
	must(t, err)
	owner := info.Sys().(*syscall.Stat_t)
	want(t, "user", owner.Uid, 1234)
	want(t, "group", owner.Gid, 5678)
}

// TestFileHistoryIsPrivate: configs may hold secrets.
func TestFileHistoryIsPrivate(t *testing.T) {
	t.Parallel()
	_, s := openFile(t, "one")
	apply(t, s, "two", Write{})
	root := filepath.Join(s.medium.(*file).stateDir, "history")
	must(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		must(t, err)
		info, err := entry.Info()
		must(t, err)
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return nil
	}))
}

// TestFileLinks: a link stays one, and all names of a file are one config.
func TestFileLinks(t *testing.T) {
	t.Parallel()
	path, s := openFile(t, "one")
	stateDir := s.medium.(*file).stateDir
	link := filepath.Join(t.TempDir(), "link.yaml")
	must(t, os.Symlink(path, link))
	linked := openWith(t, link, Settings{}, stateDir)
	w := watch(t, linked, nil)
	w.until("one")
	apply(t, linked, "two", Write{Who: "by link"})
	want(t, "content", string(read(t, s).Data), "two")
	want(t, "writer", history(t, s)[0].Who, "by link")
	info, err := os.Lstat(link)
	must(t, err)
	want(t, "it is a link", info.Mode().Type(), fs.ModeSymlink)
	w.until("two")

	// The link is turned elsewhere, as Kubernetes does; there the file is applied.
	other := filepath.Join(t.TempDir(), "other.yaml")
	must(t, os.WriteFile(other, []byte("three"), 0o600))
	must(t, os.Symlink(other, link+".new"))
	must(t, os.Rename(link+".new", link))
	w.until("three")
	v := apply(t, openWith(t, other, Settings{}, stateDir), "three", Write{Force: true})
	want(t, "version", *w.until("three").Version, v)

	// A link to a file that is to come.
	dangling := filepath.Join(t.TempDir(), "dangling.yaml")
	target := filepath.Join(t.TempDir(), "later.yaml")
	must(t, os.Symlink(target, dangling))
	apply(t, openWith(t, dangling, Settings{}, stateDir), "four", Write{})
	data, err := os.ReadFile(target)
	must(t, err)
	want(t, "content", string(data), "four")
}

// TestFileWriterDies: whatever a writer had done when it died, its write has
// happened with its entry in the history, or not at all.
func TestFileWriterDies(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T) (*ledger, fileHistory, replacement, Version) {
		path, s := openFile(t, "")
		apply(t, s, "one", Write{})
		_, hist, err := s.medium.(*file).history()
		must(t, err)
		v := Write{Who: "bob"}.version(2, []byte("two"))
		must(t, hist.keepContent(v, []byte("two")))
		next := replacement{path}
		must(t, next.prepare([]byte("two")))
		return s, hist, next, v
	}
	wantAfter := func(t *testing.T, s *ledger, all string) {
		apply(t, s, "last", Write{})
		want(t, "history", strings.Join(contents(t, s), " "), all)
		_, err := os.Lstat(replacement{s.medium.(*file).path}.ready())
		wantError(t, err, fs.ErrNotExist)
	}
	t.Run("before it proposed", func(t *testing.T) {
		s, _, _, _ := begin(t)
		want(t, "version", read(t, s).Version.Number, 1)
		wantAfter(t, s, "one last")
	})
	t.Run("before the file was in place", func(t *testing.T) {
		s, hist, _, v := begin(t)
		must(t, hist.propose(v))
		want(t, "version", read(t, s).Version.Number, 1)
		wantAfter(t, s, "one last")
	})
	t.Run("after the file was in place", func(t *testing.T) {
		s, hist, next, v := begin(t)
		must(t, hist.propose(v))
		must(t, next.commit())
		want(t, "version", *read(t, s).Version, v)
		wantAfter(t, s, "one two last")
	})
	t.Run("after the file was in place, and it was edited", func(t *testing.T) {
		s, hist, next, v := begin(t)
		must(t, hist.propose(v))
		must(t, next.commit())
		must(t, os.WriteFile(next.target, []byte("edited"), 0o600))
		want(t, "version", read(t, s).Version, nil)
		wantAfter(t, s, "one two edited last")
	})
	t.Run("after the entry was made", func(t *testing.T) {
		s, hist, next, v := begin(t)
		must(t, hist.propose(v))
		must(t, next.commit())
		entries, err := hist.read()
		must(t, err)
		must(t, hist.settle(entries, v))
		must(t, hist.propose(v))
		want(t, "version", *read(t, s).Version, v)
		wantAfter(t, s, "one two last")
	})
}

// TestFileIsWrittenSlowly: what is half written is not delivered, not even
// while the file is waited for.
func TestFileIsWrittenSlowly(t *testing.T) {
	t.Parallel()
	path, s := openFile(t, "")
	s.medium.(*file).settle = 3 * time.Second // longer than a busy machine pauses the writer
	w := watch(t, s, nil)
	w.untilFailure("the file is not there")
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()  // what it has shows
	const parts = 40 // for longer than a file must have settled
	for range parts {
		_, err := f.WriteString("part ")
		must(t, err)
		time.Sleep(100 * time.Millisecond) // as a slow disk: that is what is tested
	}
	select {
	case got := <-w.delivered:
		want(t, "content", string(got.Data), strings.Repeat("part ", parts))
	case <-time.After(patience):
		t.Fatal("it is not delivered")
	}
}

// TestFileIsLocked: who waits for another writer says so, and readers do not wait.
func TestFileIsLocked(t *testing.T) {
	t.Parallel()
	_, s := openFile(t, "one")
	unlock, err := s.medium.lock(background)
	must(t, err)
	ctx, cancel := context.WithTimeout(background, 20*time.Millisecond)
	defer cancel()
	_, err = s.Apply(ctx, []byte("two"), Write{Who: "ann"})
	wantError(t, err, context.DeadlineExceeded)
	if err != nil && !strings.Contains(err.Error(), "another process writes this config") {
		t.Errorf("the error does not say what is waited for: %v", err)
	}
	want(t, "content", string(read(t, s).Data), "one")
	unlock()
	apply(t, s, "two", Write{})
}

// TestFileHistoryIsDamaged: the gateway has its config; who writes is told.
func TestFileHistoryIsDamaged(t *testing.T) {
	t.Parallel()
	_, s := openFile(t, "one")
	apply(t, s, "two", Write{})
	_, hist, err := s.medium.(*file).history()
	must(t, err)
	must(t, os.WriteFile(hist.list(), []byte("{"), 0o600))
	got := read(t, s)
	want(t, "content", string(got.Data), "two")
	want(t, "version", got.Version, nil)
	_, err = s.Apply(background, []byte("three"), Write{Who: "ann"})
	if err == nil || !strings.Contains(err.Error(), "history.json is damaged") {
		t.Errorf("got %v", err)
	}
	want(t, "content", string(read(t, s).Data), "two")
}

func TestFileCannotBeWritten(t *testing.T) {
	t.Parallel()
	path, s := openFile(t, "")
	must(t, os.Mkdir(path, 0o700))
	_, err := s.Apply(background, []byte("one"), Write{Who: "ann"})
	if err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("got %v", err)
	}
	_, err = s.Read(background)
	if err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("got %v", err)
	}
	// A folder that is not there.
	s = openWith(t, filepath.Join(t.TempDir(), "no", "gateway.yaml"), Settings{}, t.TempDir())
	_, err = s.Apply(background, []byte("one"), Write{Who: "ann"})
	wantError(t, err, fs.ErrNotExist)
	want(t, "versions", len(history(t, s)), 0)
}

// TestFileComesBack: an outage ends, though the content is what it was.
func TestFileComesBack(t *testing.T) {
	t.Parallel()
	path, s := openFile(t, "one")
	log := &lines{}
	s.log = slog.New(slog.NewTextHandler(log, nil))
	s.medium.(*file).audit = 50 * time.Millisecond
	w := watch(t, s, nil)
	w.until("one")
	for i := range 2 {
		must(t, os.Rename(path, path+".away"))
		w.untilFailure("the file is not there")
		must(t, os.Rename(path+".away", path))
		eventually(t, "its end", func() bool { return log.count("the config can be read again") == i+1 })
	}
	w.quiet()
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}
