package acme

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A lock is a file whose holder touches it. It saves work, and authorities requests; that
// two hold it at once is possible (a holder that stood still, a file system that is
// slow to tell), and then both obtain a certificate, of which the later is kept.
const (
	lockTouch = 5 * time.Second
	lockStale = 30 * time.Second
)

// lock takes the lock of a name, and release gives it back. release is nil where
// somebody else has it. An error is a folder that nothing can be kept in.
func (f folder) lock(name string) (release func(), err error) {
	if err := f.prepare(); err != nil {
		return nil, err
	}
	path := f.path(locks, name)
	mine := rand.Text()
	switch made, err := create(path, mine); {
	case err != nil:
		return nil, fmt.Errorf("taking the lock of %s: %w", name, err)
	case !made && (!stale(path) || !takeOver(path, mine)):
		return nil, nil
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		touch(path, stop)
	}()
	return func() {
		close(stop)
		<-stopped
		if holder, err := os.ReadFile(path); err == nil && string(holder) == mine {
			_ = os.Remove(path) // else it is stale in a while
		}
	}, nil
}

// takeOver takes a lock whose holder has gone, unless another was faster. Those who find
// it so at once look again one after the other: what the first has put there is not stale
// any more, and must not be taken from it. Where the folder's system has no such order
// (flock(2)) two may have the lock, as is said above.
func takeOver(path, mine string) bool {
	all, err := os.Open(filepath.Dir(path))
	if err != nil {
		return false
	}
	defer all.Close()
	_ = syscall.Flock(int(all.Fd()), syscall.LOCK_EX)
	if !stale(path) || os.Remove(path) != nil {
		return false
	}
	made, err := create(path, mine)
	return made && err == nil
}

// create makes the file of a lock, unless it is there.
func create(path, holder string) (made bool, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = file.WriteString(holder)
	if err = errors.Join(err, file.Close()); err != nil {
		return false, errors.Join(err, os.Remove(path))
	}
	return true, nil
}

// touch tells others that the holder lives.
func touch(path string, stop <-chan struct{}) {
	tick := time.NewTicker(lockTouch)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			now := time.Now()
			_ = os.Chtimes(path, now, now)
		}
	}
}

// stale tells of a lock that nobody has touched for long, by the clock of who
// touches and ours: between machines whose clocks differ by more, it is taken too early.
func stale(path string) bool {
	info, err := os.Stat(path)
	return err == nil && time.Since(info.ModTime()) > lockStale
}
