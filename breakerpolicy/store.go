package breakerpolicy

import (
	"context"
	"sync"
)

// store keeps the machines of breakers by name. Its implementations, memory and
// redisStore, give the same answers for the same clock: the tests run one set of
// cases on both.
type store interface {
	// exchange answers the reports of an instance, in their order. The names of
	// one call are distinct. An answer's error says that nothing is known of its
	// report: it may have been taken in or not.
	exchange(ctx context.Context, by string, asked []ask) []answer
}

// ask is a report on the breaker of a name.
type ask struct {
	name string
	*report
}

// answer is what a store says to an ask.
type answer struct {
	reply
	err error
}

// memory keeps machines in this process. It is safe for concurrent use.
type memory struct {
	now func() int64 // milliseconds, of a clock that does not jump

	mu sync.Mutex // guards of
	of map[string]*machine
}

func newMemory(now func() int64) *memory { return &memory{now: now, of: map[string]*machine{}} }

// exchange implements store.
func (m *memory) exchange(_ context.Context, by string, asked []ask) []answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	answers := make([]answer, len(asked))
	for i, a := range asked {
		one := m.of[a.name]
		if one == nil {
			one = &machine{}
			m.of[a.name] = one
		}
		answers[i].reply = one.report(by, a.report, m.now())
	}
	return answers
}

// forget drops a machine.
func (m *memory) forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.of, name)
}
