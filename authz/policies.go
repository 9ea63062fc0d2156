package authz

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Policies holds the policies that some Envoy may name, by their hash. Readers
// take no lock. Old policies stay beside new ones until Retain drops them, so
// that a request is judged by the policy its route was compiled with, however
// late its Envoy takes over a change. The zero value is empty and ready.
type Policies struct {
	// writing serialises Publish and Retain.
	writing sync.Mutex
	current atomic.Pointer[map[string]*Policy]
}

// Publish adds policies, by their Hash. Those already there stay.
func (s *Policies) Publish(set map[string]*Policy) {
	s.writing.Lock()
	defer s.writing.Unlock()
	next := maps.Clone(s.all())
	if next == nil {
		next = make(map[string]*Policy, len(set))
	}
	maps.Copy(next, set)
	s.current.Store(&next)
}

// Retain drops every policy whose hash is not in the set with the value true.
func (s *Policies) Retain(hashes map[string]bool) {
	s.writing.Lock()
	defer s.writing.Unlock()
	next := maps.Clone(s.all())
	maps.DeleteFunc(next, func(hash string, _ *Policy) bool { return !hashes[hash] })
	s.current.Store(&next)
}

// lookup returns the policy of a hash, or nil where there is none.
func (s *Policies) lookup(hash string) *Policy {
	return s.all()[hash]
}

func (s *Policies) all() map[string]*Policy {
	if m := s.current.Load(); m != nil {
		return *m
	}
	return nil
}
