package test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// scripted is a backend that does as it is told, and remembers when it was asked. It
// can refuse connections, and take them again on the same address.
type scripted struct {
	t    testing.TB
	addr string

	mu     sync.Mutex // guards the rest
	act    act
	asked  []time.Time
	ended  []time.Time // when it has answered, in no order
	server *http.Server
}

// act answers the n-th request since it was set, from 0 on.
type act func(n int, w http.ResponseWriter, r *http.Request)

// The acts of backends that are well, and in each way not.
var (
	good act = func(_ int, w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "good") }
	bad  act = func(_ int, w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "bad", http.StatusInternalServerError)
	}
	// resets breaks the connection off.
	resets act = func(int, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	// hangs answers nothing as long as it is waited for.
	hangs act = func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
)

// answers gives a status.
func answers(status int) act {
	return func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// slow is good, after so long.
func slow(d time.Duration) act {
	return func(n int, w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			good(n, w, r)
		case <-r.Context().Done():
		}
	}
}

// fails is bad for so many of each ten requests, spread over them.
func fails(ofTen int) act {
	return func(n int, w http.ResponseWriter, r *http.Request) {
		if (n+1)*ofTen/10 > n*ofTen/10 {
			bad(n, w, r)
		} else {
			good(n, w, r)
		}
	}
}

// flaps is bad and good in turn, for so long each.
func flaps(every time.Duration) act {
	began := time.Now()
	return func(n int, w http.ResponseWriter, r *http.Request) {
		if time.Since(began)/every%2 == 0 {
			bad(n, w, r)
		} else {
			good(n, w, r)
		}
	}
}

func newScripted(t testing.TB, a act) *scripted {
	s := &scripted{t: t, addr: testenv.Addr(t)}
	s.do(a)
	s.accept()
	t.Cleanup(s.refuse)
	return s
}

// do makes what follows of this act.
func (s *scripted) do(a act) {
	n := 0
	s.mu.Lock()
	defer s.mu.Unlock()
	s.act = func(_ int, w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		mine := n
		n++
		s.mu.Unlock()
		a(mine, w, r)
	}
}

// accept takes connections.
func (s *scripted) accept() {
	s.t.Helper()
	var listener net.Listener
	eventually(s.t, "the backend's port is free", func() (err error) {
		listener, err = net.Listen("tcp", s.addr)
		return err
	})
	server := &http.Server{Handler: s}
	s.mu.Lock()
	s.server = server
	s.mu.Unlock()
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.t.Errorf("the backend: %v", err)
		}
	}()
}

// refuse takes no connections, and ends those that there are.
func (s *scripted) refuse() {
	s.mu.Lock()
	server := s.server
	s.mu.Unlock()
	_ = server.Close() // what it was doing is of no interest
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	a := s.act
	s.asked = append(s.asked, time.Now())
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.ended = append(s.ended, time.Now())
		s.mu.Unlock()
	}()
	a(0, w, r)
}

// requests is how many have come.
func (s *scripted) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

// since are the times of the requests that have come after one.
func (s *scripted) since(at time.Time) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearchFunc(s.asked, at, time.Time.Compare)
	return slices.Clone(s.asked[i:])
}

// answered is when the n-th of its answers since a time was given; false where there
// are not so many.
func (s *scripted) answered(since time.Time, n int) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var after []time.Time
	for _, at := range s.ended {
		if !at.Before(since) {
			after = append(after, at)
		}
	}
	if len(after) < n {
		return time.Time{}, false
	}
	slices.SortFunc(after, time.Time.Compare)
	return after[n-1], true
}
