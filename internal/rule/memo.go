package rule

import (
	"runtime"
	"strings"
	"sync"
	"weak"
)

// source is what a Rule is made of.
type source struct {
	text   string
	about  Subject
	result result
}

// compiled are the rules in use. To compile one takes some 0.2 ms, and a config
// may have the same in each of ten thousand routes, which are compiled once to
// be judged and once to be served.
var compiled = newMemo()

// memo remembers rules as long as somebody else does: those of a config that is
// gone go with it. Faults are not remembered; a config with one is not served.
type memo struct {
	mu    sync.Mutex // guards rules
	rules map[source]weak.Pointer[Rule]
}

func newMemo() *memo { return &memo{rules: map[source]weak.Pointer[Rule]{}} }

// of returns the rule of a source, made where nobody has it. Two that ask at the
// same time may both make it; both get the first.
func (m *memo) of(s source, compile func(source) (*Rule, error)) (*Rule, error) {
	if known := m.find(s); known != nil {
		return known, nil
	}
	made, err := compile(s)
	if err != nil {
		return nil, err
	}
	return m.add(s, made), nil
}

func (m *memo) find(s source) *Rule {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rules[s].Value()
}

func (m *memo) add(s source, made *Rule) *Rule {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.rules[s].Value(); known != nil {
		return known
	}
	s.text = strings.Clone(s.text) // it may be a part of a whole config
	m.rules[s] = weak.Make(made)
	runtime.AddCleanup(made, m.forget, s)
	return made
}

// forget takes out a rule that nobody has any more, unless it has been made anew.
func (m *memo) forget(s source) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rules[s].Value() == nil {
		delete(m.rules, s)
	}
}

func (m *memo) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.rules)
}
