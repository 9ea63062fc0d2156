package keys

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a clock that stands until a test moves it.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// tap is the way from a Cache to a Store: it counts, and can be shut.
type tap struct {
	source
	lookUps, polls atomic.Int64
	refused        atomic.Bool // reads fail at once
	hanging        atomic.Bool // reads wait for their context to end
}

var errRefused = errors.New("refused by the test")

func (t *tap) admit(ctx context.Context) error {
	if t.hanging.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if t.refused.Load() {
		return errRefused
	}
	return nil
}

func (t *tap) lookUp(ctx context.Context, ids []string) (map[string]found, error) {
	t.lookUps.Add(1)
	if err := t.admit(ctx); err != nil {
		return nil, err
	}
	return t.source.lookUp(ctx, ids)
}

func (t *tap) newestChange(ctx context.Context) (newest, error) {
	t.polls.Add(1)
	if err := t.admit(ctx); err != nil {
		return newest{}, err
	}
	return t.source.newestChange(ctx)
}

// rig is a running Cache over a real database, a second process beside it, and
// all the handles a test needs.
type rig struct {
	*Cache
	tap   *tap
	clock *clock
	// other is the same database, opened as another process would.
	other *Store
}

func newRig(t testing.TB, db database, settings Settings) *rig {
	t.Helper()
	r := &rig{tap: &tap{source: openStore(t, db.url)}, clock: newClock(), other: openStore(t, db.url)}
	r.Cache = newCache(r.tap, settings, r.clock.Now, slog.New(slog.NewTextHandler(io.Discard, nil)))
	run(t, r.Cache)
	return r
}

// run runs the cache until the test ends.
func run(t testing.TB, cache *Cache) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- cache.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (r *rig) find(t testing.TB, text string) Found {
	t.Helper()
	answer, err := r.Find(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// want fails unless text has that state.
func (r *rig) want(t testing.TB, text string, state State) {
	t.Helper()
	if answer := r.find(t, text); answer.State != state {
		t.Fatalf("the key is %s, want %s", answer.State, state)
	}
}

// poll waits until the cache has read the feed from its beginning once more.
func (r *rig) poll(t testing.TB) {
	t.Helper()
	polls := r.tap.polls.Load()
	// The one under way may have begun before the call; the next has not, and
	// it is done when the one after it begins.
	eventually(t, func() bool { return r.tap.polls.Load() >= polls+2 })
}

// eventually waits for a condition.
func eventually(t testing.TB, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatal("it did not come about in 20 s")
		}
	}
}

// unknownKey returns a well-formed key that nobody has made.
func unknownKey(t testing.TB) string { return newKey(t).Secret.Reveal() }

// otherSecret returns a well-formed key with the id of text and another secret.
func otherSecret(t testing.TB, text string) string {
	t.Helper()
	secretStart := checksumStart - secretChars
	body := text[:secretStart] + unknownKey(t)[secretStart:checksumStart]
	return body + checksum(body)
}

// together runs do(0) … do(n-1) in that many goroutines, width at once.
func together(n, width int, do func(int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range width {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	all.Wait()
}

func randomText(t testing.TB, length int) string {
	t.Helper()
	text := make([]byte, length)
	if _, err := rand.Read(text); err != nil {
		t.Fatal(err)
	}
	return string(text)
}
