package authz

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// fakeStore is a key store with some keys in it. It is down where err is set.
type fakeStore struct {
	mu      sync.Mutex // guards asked
	asked   int
	err     error
	records map[string]APIKeyRecord
	states  map[string]APIKeyState
}

func newFakeStore() *fakeStore {
	return &fakeStore{
		records: map[string]APIKeyRecord{
			"gw_good": {ID: "k1", Owner: "bob", Tenant: "globex", Permissions: []string{"users:read"}},
			"gw_bare": {ID: "k2"},
		},
		states: map[string]APIKeyState{
			"gw_good": Valid, "gw_bare": Valid, "gw_revoked": Revoked, "gw_expired": Expired, "gw_odd": Malformed,
		},
	}
}

func (f *fakeStore) Find(_ context.Context, key string) (APIKeyRecord, APIKeyState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.err != nil {
		return APIKeyRecord{}, Unknown, f.err
	}
	return f.records[key], f.states[key], nil
}

func (f *fakeStore) questions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

var errStoreDown = errors.New("connection refused")

// fakeLimiter answers always the same, and remembers what it was asked.
type fakeLimiter struct {
	mu     sync.Mutex // guards taken
	answer LimitResult
	taken  [][]Charge
	// released are the handles of Release.
	released []string
	// known is what it recalls of the limit of its name.
	known LimitResult
}

func (f *fakeLimiter) Take(_ context.Context, charges []Charge) LimitResult {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken = append(f.taken, charges)
	return f.answer
}

func (f *fakeLimiter) Release(handles []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.released = append(f.released, handles...)
}

// fakeBreaker answers always the same, and remembers what it was asked.
type fakeBreaker struct {
	mu       sync.Mutex // guards the rest
	answer   Admission
	asked    []string // route/backend
	canceled []string
}

func (f *fakeBreaker) Admit(route, backend string) Admission {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, route+"/"+backend)
	return f.answer
}

func (f *fakeBreaker) Cancel(probe string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.canceled = append(f.canceled, probe)
}

func (f *fakeLimiter) Recall(charges []Charge) (LimitResult, bool) {
	knows := slices.ContainsFunc(charges, func(c Charge) bool { return c.Limit.Name == f.known.Limit })
	return f.known, knows
}
