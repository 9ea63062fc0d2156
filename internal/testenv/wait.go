package testenv

import (
	"bytes"
	"sync"
	"testing"
	"time"
)

// Eventually waits until check returns nil, and fails the test with its last
// error when it does not for a long time.
func Eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	EventuallyWithin(t, 20*time.Second, what, check)
}

// EventuallyWithin is Eventually for what may take as long as that.
func EventuallyWithin(t testing.TB, long time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(long)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s: %v", what, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Output gathers what a process or a log writes, and may be read meanwhile. The
// zero value is empty.
type Output struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String is what was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
