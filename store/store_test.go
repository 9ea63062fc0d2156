package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is longer than anything takes on a busy machine.
const patience = 60 * time.Second

// place is where a store of some kind is, and what other hands do there.
type place struct {
	location, stateDir string
	put                func(content string)
	remove             func()
}

// kinds are the kinds of stores. Each makes any number of places.
var kinds = map[string]func(t *testing.T) func(name string) place{
	"file": func(t *testing.T) func(string) place {
		folder, stateDir := t.TempDir(), t.TempDir()
		return func(name string) place {
			path := filepath.Join(folder, name)
			return place{
				location: path, stateDir: stateDir,
				put: func(content string) {
					// As most editors do: the file is never half written.
					must(t, os.WriteFile(path+"~", []byte(content), 0o644))
					must(t, os.Rename(path+"~", path))
				},
				remove: func() { must(t, os.Remove(path)) },
			}
		}
	},
	"etcd": func(t *testing.T) func(string) place {
		server := startEtcd(t)
		return func(name string) place {
			return place{
				location: "etcd://" + server.address + "/gw/" + name,
				put:      func(content string) { server.put("gw/"+name, content) },
				remove:   func() { server.remove("gw/" + name) },
			}
		}
	},
	"consul": func(t *testing.T) func(string) place {
		d := startConsul(t)
		return func(name string) place {
			return place{
				location: "consul://" + d.server.Listener.Addr().String() + "/gw/" + name,
				put:      func(content string) { d.put("gw/"+name, content) },
				remove:   func() { d.remove("gw/" + name) },
			}
		}
	},
}

// onEach runs a test on each kind of store.
func onEach(t *testing.T, test func(t *testing.T, p place)) {
	t.Helper()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, kind(t)("config"))
		})
	}
}

// reporter is what testing.T and rapid.T have in common.
type reporter interface {
	Helper()
	Errorf(string, ...any)
	Fatal(...any)
}

func must(t reporter, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens a store that is closed when the test ends.
func (p place) open(t testing.TB) *ledger {
	t.Helper()
	return openWith(t, p.location, Settings{}, p.stateDir)
}

func openWith(t testing.TB, location string, settings Settings, stateDir string) *ledger {
	t.Helper()
	s, err := Open(location, settings, stateDir, slog.New(slog.DiscardHandler))
	must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.(*ledger)
}

// background is a context for calls that have their own limits.
var background = context.Background()

func apply(t testing.TB, s Store, content string, w Write) Version {
	t.Helper()
	if w.Who == "" {
		w.Who = "ann"
	}
	v, err := s.Apply(background, []byte(content), w)
	must(t, err)
	return v
}

func read(t testing.TB, s Store) Snapshot {
	t.Helper()
	snapshot, err := s.Read(background)
	must(t, err)
	return snapshot
}

func history(t testing.TB, s Store) []Version {
	t.Helper()
	versions, err := s.History(background)
	must(t, err)
	return versions
}

// contents are those of the history, the oldest first.
func contents(t testing.TB, s Store) []string {
	t.Helper()
	versions := history(t, s)
	out := make([]string, len(versions))
	for i, v := range versions {
		data, err := s.Content(background, v.Number)
		must(t, err)
		out[len(out)-1-i] = string(data)
	}
	return out
}

func want[T comparable](t reporter, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantError(t reporter, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

func TestAppliedIsRead(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		_, err := s.Read(background)
		wantError(t, err, ErrNotFound)
		v := apply(t, s, "one", Write{Who: "ann", Why: "first\nof all", Expected: Absent, Force: true})
		got := read(t, s)
		want(t, "content", string(got.Data), "one")
		if got.Version == nil || *got.Version != v {
			t.Fatalf("version: got %v, want %v", got.Version, v)
		}
		want(t, "version", v, Version{Number: 1, When: v.When, Who: "ann", Why: "first\nof all", Hash: hashOf([]byte("one")), Force: true})
		if age := time.Since(v.When); age < 0 || age > time.Hour {
			t.Errorf("when: %s", v.When)
		}
		// Another process sees the same.
		other := read(t, p.open(t))
		want(t, "revision", other.Revision, got.Revision)
		want(t, "version", *other.Version, v)
	})
}

func TestConflict(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s, other := p.open(t), p.open(t)
		apply(t, s, "one", Write{})
		base := read(t, s).Revision
		apply(t, other, "two", Write{Who: "bob", Expected: base})
		_, err := s.Apply(background, []byte("three"), Write{Who: "ann", Expected: base})
		wantError(t, err, ErrConflict)
		if err != nil && !strings.Contains(err.Error(), `version 2, by "bob"`) {
			t.Errorf("the conflict does not say with whom: %v", err)
		}
		_, err = s.Apply(background, []byte("three"), Write{Who: "ann", Expected: Absent})
		wantError(t, err, ErrConflict)
		want(t, "content", string(read(t, s).Data), "two")
		want(t, "history", fmt.Sprint(contents(t, s)), "[one two]")

		// The same content written again is another state.
		base = read(t, s).Revision
		apply(t, s, "two", Write{Expected: base})
		_, err = s.Apply(background, []byte("three"), Write{Who: "ann", Expected: base})
		wantError(t, err, ErrConflict)
	})
}

// TestWritersLoseNothing: each of several writers makes its changes as one
// should, on what it has read, until it succeeds.
func TestWritersLoseNothing(t *testing.T) {
	t.Parallel()
	const writers, writes = 5, 6
	onEach(t, func(t *testing.T, p place) {
		apply(t, p.open(t), "start", Write{})
		var group sync.WaitGroup
		for i := range writers {
			s := p.open(t)
			group.Go(func() {
				for n := range writes {
					if err := appendLine(s, fmt.Sprintf("writer %d write %d", i, n)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		s := p.open(t)
		lines := strings.Split(string(read(t, s).Data), "\n")
		want(t, "lines", len(lines), 1+writers*writes)
		// Each version is the one before and a line.
		all := contents(t, s)
		want(t, "versions", len(all), len(lines))
		for i, content := range all {
			want(t, "a version", content, strings.Join(lines[:i+1], "\n"))
		}
	})
}

// appendLine adds a line to the config, again and again until nobody comes
// between.
func appendLine(s Store, line string) error {
	for {
		before, err := s.Read(background)
		if err != nil {
			return err
		}
		content := string(before.Data) + "\n" + line
		_, err = s.Apply(background, []byte(content), Write{Who: line, Expected: before.Revision})
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// TestBlindWriters: without Expected all succeed, in some order.
func TestBlindWriters(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		var group sync.WaitGroup
		for i := range 6 {
			s := p.open(t)
			group.Go(func() {
				if _, err := s.Apply(background, fmt.Append(nil, "content ", i), Write{Who: "ann"}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		s := p.open(t)
		all := contents(t, s)
		want(t, "versions", len(all), 6)
		want(t, "the last", string(read(t, s).Data), all[len(all)-1])
	})
}

// TestReadersSeeOneState: while somebody applies, nobody takes a content for an
// edit by hand, or for another version's.
func TestReadersSeeOneState(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		writer, reader := p.open(t), p.open(t)
		apply(t, writer, "content", Write{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for i := range 100 {
				if _, err := writer.Apply(background, fmt.Append(nil, "content ", i), Write{Who: "ann"}); err != nil {
					t.Error(err)
				}
			}
		}()
		for {
			got := read(t, reader)
			if got.Version == nil || got.Version.Hash != hashOf(got.Data) {
				t.Errorf("%q: version %v", got.Data, got.Version)
			}
			select {
			case <-ended:
				return
			default:
			}
		}
	})
}

func TestHandEditsEnterTheHistory(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		p.put("by hand 1")
		got := read(t, s)
		want(t, "content", string(got.Data), "by hand 1")
		want(t, "version", got.Version, nil)
		want(t, "versions", len(history(t, s)), 0)
		v := apply(t, s, "applied", Write{Expected: got.Revision})
		want(t, "number", v.Number, 2)

		p.put("by hand 2")
		want(t, "version", read(t, s).Version, nil)
		apply(t, s, "applied 2", Write{})
		want(t, "history", fmt.Sprint(contents(t, s)), "[by hand 1 applied by hand 2 applied 2]")
		var hands []bool
		for _, v := range history(t, s) {
			hands = append(hands, v.ByHand)
		}
		want(t, "by hand", fmt.Sprint(hands), "[false true false true]")

		// Who edits over a change that was applied meanwhile, has a conflict, too.
		base := read(t, s).Revision
		p.put("by hand 3")
		_, err := s.Apply(background, []byte("x"), Write{Who: "ann", Expected: base})
		wantError(t, err, ErrConflict)
	})
}

// TestLatePutIsRefused: between the look of a writer and its write others wrote.
func TestLatePutIsRefused(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		m := s.medium
		refused := func(h head, place bool) {
			t.Helper()
			unlock, err := m.lock(background)
			must(t, err)
			defer unlock()
			v := Write{Who: "late"}.version(h.newest.Number+1, []byte("late"))
			ok, err := m.put(background, h, v, []byte("late"), place)
			must(t, err)
			want(t, "written", ok, false)
		}
		look := func() head {
			t.Helper()
			h, err := m.head(background)
			must(t, err)
			return h
		}
		absent := look()
		p.put("by hand 1")
		refused(absent, true)
		byHand := look()
		p.put("by hand 2")
		refused(byHand, true)
		if p.stateDir == "" { // writers of files exclude each other
			refused(byHand, false)
			byHand = look()
			apply(t, s, "one", Write{})
			refused(byHand, true)
			refused(byHand, false)
			applied := look()
			apply(t, s, "two", Write{})
			refused(applied, true)
		}
		p.put("by hand 3")
		here := look()
		p.remove()
		refused(here, true)
		for _, v := range history(t, s) {
			if v.Who == "late" {
				t.Errorf("what was refused is in the history: %v", v)
			}
		}
		// Two find the same edit, and both record it.
		p.put("by hand 4")
		h := look()
		if p.stateDir == "" {
			ok, err := m.put(background, h, byHandOf(h), h.data, false)
			must(t, err)
			want(t, "written", ok, true)
			ok, err = m.put(background, h, byHandOf(h), h.data, false)
			must(t, err)
			want(t, "written twice", ok, false)
		}
	})
}

func byHandOf(h head) Version { return byHand(h.newest.Number+1, h.hash) }

func TestRollback(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		apply(t, s, "one", Write{})
		apply(t, s, "two", Write{})
		v, err := Rollback(background, s, 1, Write{Who: "bob", Why: "two was wrong"})
		must(t, err)
		want(t, "number", v.Number, 3)
		want(t, "rolled back to", v.RolledBackTo, 1)
		want(t, "content", string(read(t, s).Data), "one")
		want(t, "newest", history(t, s)[0], v)
		_, err = Rollback(background, s, 9, Write{Who: "bob"})
		wantError(t, err, ErrNoVersion)
		_, err = s.Apply(background, []byte("three"), Write{Who: "bob", RolledBackTo: 1})
		if err == nil || !strings.Contains(err.Error(), "not the content of version 1") {
			t.Errorf("a rollback that is none: %v", err)
		}
	})
}

// TestHistoryIsBounded: the newest are kept, and numbers go on.
func TestHistoryIsBounded(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		for i := range keep + 5 {
			apply(t, s, fmt.Sprint("content ", i+1), Write{})
		}
		versions := history(t, s)
		want(t, "versions", len(versions), keep)
		for i, v := range versions {
			want(t, "number", v.Number, int64(keep+5-i))
		}
		data, err := s.Content(background, 6)
		must(t, err)
		want(t, "the oldest", string(data), "content 6")
		_, err = s.Content(background, 5)
		wantError(t, err, ErrNoVersion)
	})
}

// TestRemoved: a config that is gone can be made again, and its history goes on.
func TestRemoved(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		apply(t, s, "one", Write{})
		base := read(t, s).Revision
		p.remove()
		_, err := s.Read(background)
		wantError(t, err, ErrNotFound)
		_, err = s.Apply(background, []byte("two"), Write{Who: "ann", Expected: base})
		wantError(t, err, ErrConflict)
		v := apply(t, s, "two", Write{Expected: Absent})
		want(t, "number", v.Number, 2)
		p.put("")
		_, err = s.Read(background)
		wantError(t, err, ErrNotFound)
		want(t, "number", apply(t, s, "three", Write{}).Number, 3)
	})
}

// TestLargeAndOdd: contents that are compressed, or look as if they were.
func TestLargeAndOdd(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		for _, content := range []string{
			strings.Repeat("routes: and so on\n", 200_000), // 3.6 MB
			"\x1f\x8b is how gzip begins",
			string(encoded([]byte(strings.Repeat("x", plainSize+1)))),
			"\x00\xff",
		} {
			v := apply(t, s, content, Write{})
			if string(read(t, s).Data) != content {
				t.Errorf("a content of %d bytes is not read as it was written", len(content))
			}
			data, err := s.Content(background, v.Number)
			must(t, err)
			if string(data) != content {
				t.Errorf("a content of %d bytes is not in the history as it was written", len(content))
			}
		}
	})
}

func TestBadWrites(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		for message, w := range map[string]Write{
			"who writes is not said":                 {},
			"who has 257 bytes":                      {Who: strings.Repeat("a", 257)},
			"why has 4097 bytes":                     {Who: "ann", Why: strings.Repeat("a", 4097)},
			`who: "a\x1b": must be UTF-8 without`:    {Who: "a\x1b"},
			`why: "\xff": must be UTF-8 without con`: {Who: "ann", Why: "\xff"},
		} {
			_, err := s.Apply(background, []byte("x"), w)
			if err == nil || !strings.Contains(err.Error(), message) {
				t.Errorf("got error %v, want %q in it", err, message)
			}
		}
		_, err := s.Apply(background, nil, Write{Who: "ann"})
		if err == nil || !strings.Contains(err.Error(), "the config is empty") {
			t.Errorf("empty: %v", err)
		}
		want(t, "versions", len(history(t, s)), 0)
	})
}
