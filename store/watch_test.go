package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// watched is a store under watch in the background.
type watched struct {
	t         testing.TB
	delivered chan Snapshot
	failures  chan error
}

// watch watches until the test ends.
func watch(t testing.TB, s Store, known *Snapshot) watched {
	t.Helper()
	w := watched{t: t, delivered: make(chan Snapshot, 1000), failures: make(chan error, 1000)}
	ctx, cancel := context.WithCancel(background)
	ended := make(chan error, 1)
	go func() {
		ended <- s.Watch(ctx, known, func(s Snapshot) { w.delivered <- s }, func(err error) {
			if err != nil { // nil: it can be read again
				w.failures <- err
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			wantError(t, err, context.Canceled)
		case <-time.After(patience):
			t.Error("Watch does not end")
		}
	})
	return w
}

// until waits until a content is delivered. Others may come before.
func (w watched) until(content string) Snapshot {
	w.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case s := <-w.delivered:
			if string(s.Data) == content {
				return s
			}
		case <-timeout:
			w.t.Fatalf("%q is not delivered", content)
		}
	}
}

// untilFailure waits for a failure that says something.
func (w watched) untilFailure(text string) {
	w.t.Helper()
	select {
	case err := <-w.failures:
		if !strings.Contains(err.Error(), text) {
			w.t.Errorf("got failure %v, want %q in it", err, text)
		}
	case <-time.After(patience):
		w.t.Fatalf("no failure is told, want %q", text)
	}
}

func (w watched) quiet() {
	w.t.Helper()
	select {
	case s := <-w.delivered:
		w.t.Errorf("delivered: %q, version %v", s.Data, s.Version)
	case err := <-w.failures:
		w.t.Errorf("failure: %v", err)
	default:
	}
}

func TestWatchSeesEachState(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		apply(t, s, "known", Write{})
		known := read(t, s)
		w := watch(t, p.open(t), &known)
		v := apply(t, s, "one", Write{Force: true})
		got := w.until("one")
		if got.Version == nil || *got.Version != v {
			t.Errorf("version: got %v, want %v", got.Version, v)
		}
		p.put("by hand")
		want(t, "version", w.until("by hand").Version, nil)
		// The same content, this time with the writer's word for it.
		v = apply(t, s, "by hand", Write{Force: true})
		got = w.until("by hand")
		if got.Version == nil || *got.Version != v {
			t.Errorf("version: got %v, want %v", got.Version, v)
		}
		v = apply(t, s, "by hand", Write{})
		want(t, "version", *w.until("by hand").Version, v)
		w.quiet()
	})
}

// TestWhatIsNews: to record an edit in the history is none.
func TestWhatIsNews(t *testing.T) {
	t.Parallel()
	edited, recorded := Snapshot{Data: []byte("x")}, Snapshot{Data: []byte("x")}
	hand, applied := byHand(1, hashOf(edited.Data)), Write{Who: "ann"}.version(2, edited.Data)
	recorded.Version = &hand
	want(t, "identity", identityOf(recorded), identityOf(edited))
	recorded.Version = &applied
	if identityOf(recorded) == identityOf(edited) {
		t.Error("a content that is applied is not told from one that was edited")
	}
}

func TestWatchWithoutKnown(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		p.put("there")
		watch(t, p.open(t), nil).until("there")
	})
}

// TestWatchSeesTheLast: however fast the writes, the last is delivered, and
// none after one that is newer.
func TestWatchSeesTheLast(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		apply(t, s, "0", Write{})
		w := watch(t, p.open(t), nil)
		const writes = 30
		for i := range writes {
			apply(t, s, fmt.Sprint(i+1), Write{})
		}
		last := int64(0)
		timeout := time.After(patience)
		for last < writes+1 {
			select {
			case got := <-w.delivered:
				if got.Version == nil {
					t.Fatalf("%q is taken for an edit by hand", got.Data)
				}
				if got.Version.Number <= last {
					t.Errorf("version %d comes after %d", got.Version.Number, last)
				}
				last = got.Version.Number
			case <-timeout:
				t.Fatalf("the last version delivered is %d", last)
			}
		}
	})
}

// TestGoneAndEmpty: the last content stands, and each outage is told once.
func TestGoneAndEmpty(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		p.put("one")
		w := watch(t, p.open(t), nil)
		w.until("one")
		p.remove()
		w.untilFailure("there is no config")
		p.put("two")
		w.until("two")
		p.put("")
		w.untilFailure("is empty")
		p.put("three")
		w.until("three")
		w.quiet()
	})
}

// TestNothingThere: a watch may begin before there is a config.
func TestNothingThere(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s := p.open(t)
		w := watch(t, s, nil)
		w.untilFailure("there is no config")
		apply(t, s, "one", Write{})
		w.until("one")
	})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		ctx, cancel := context.WithCancel(background)
		cancel()
		if err := p.open(t).Watch(ctx, nil, nil, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("Watch: %v", err)
		}
	})
}
