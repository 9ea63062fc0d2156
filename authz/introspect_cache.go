package authz

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/gatewright/gatewright/config"
)

const (
	defaultIntrospectionAge     = 30 * time.Second
	defaultIntrospectionEntries = 10_000
	// inactiveAge is how long it is remembered that a token is not active. A
	// token may become so: with nbf, or when its issuer's replicas agree.
	inactiveAge = 5 * time.Second
)

// tokenHash stands for a token, of which nothing else is kept.
type tokenHash [sha256.Size]byte

// introspectionCache remembers what an issuer said of tokens. Those that are
// not active have room of their own: made-up tokens drive out no good one.
type introspectionCache struct {
	off              bool
	age              time.Duration
	active, inactive recentAnswers
}

// recentAnswers are those that were used last, up to a number of them.
type recentAnswers struct {
	most int

	// mu guards the rest.
	mu     sync.Mutex
	byHash map[tokenHash]*list.Element
	order  *list.List // of rememberedAnswer, the one used last in front
}

type rememberedAnswer struct {
	hash  tokenHash
	found introspected
	until time.Time
}

func newIntrospectionCache(c config.IntrospectionCache) *introspectionCache {
	entries := c.Entries
	if entries == 0 {
		entries = defaultIntrospectionEntries
	}
	room := func() recentAnswers {
		return recentAnswers{most: entries, byHash: map[tokenHash]*list.Element{}, order: list.New()}
	}
	return &introspectionCache{off: c.Off, age: c.MaxAge.Or(defaultIntrospectionAge), active: room(), inactive: room()}
}

func (c *introspectionCache) get(hash tokenHash, now time.Time) (introspected, bool) {
	if c.off {
		return introspected{}, false
	}
	if found, ok := c.active.get(hash, now); ok {
		return found, true
	}
	return c.inactive.get(hash, now)
}

// put remembers an answer, but an active one never beyond its exp.
func (c *introspectionCache) put(hash tokenHash, found introspected, now time.Time) {
	if c.off {
		return
	}
	if !found.active {
		c.active.remove(hash)
		c.inactive.put(rememberedAnswer{hash, found, now.Add(min(c.age, inactiveAge))})
		return
	}
	until := now.Add(c.age)
	exp, there, ok := found.claims.date("exp")
	switch {
	case !ok: // it will be refused; when it ends is not known
		return
	case there && exp.Before(until):
		until = exp
	}
	c.inactive.remove(hash)
	if until.After(now) {
		c.active.put(rememberedAnswer{hash, found, until})
	}
}

func (r *recentAnswers) get(hash tokenHash, now time.Time) (introspected, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.byHash[hash]
	if e == nil {
		return introspected{}, false
	}
	a := e.Value.(rememberedAnswer)
	if !now.Before(a.until) {
		r.drop(e)
		return introspected{}, false
	}
	r.order.MoveToFront(e)
	return a.found, true
}

func (r *recentAnswers) put(a rememberedAnswer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.byHash[a.hash]; e != nil {
		r.drop(e)
	}
	for r.order.Len() >= r.most {
		r.drop(r.order.Back())
	}
	r.byHash[a.hash] = r.order.PushFront(a)
}

func (r *recentAnswers) remove(hash tokenHash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.byHash[hash]; e != nil {
		r.drop(e)
	}
}

// drop is called with mu held.
func (r *recentAnswers) drop(e *list.Element) {
	delete(r.byHash, r.order.Remove(e).(rememberedAnswer).hash)
}
