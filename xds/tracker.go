package xds

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// want is what a step of a publication waits for: these resources, in these
// versions, acknowledged by every connected Envoy.
type want map[resource.Type]wantedOf

// wantedOf is what is wanted of one type.
type wantedOf struct {
	versions map[string]string // by name
	// cacheVersion is the version of the cache from which on it has them all:
	// the word in which an Envoy acknowledges the state of the world.
	cacheVersion uint64
}

// tracker knows, for each connected Envoy, which of the wanted resources it has
// acknowledged, and what it has refused. It remembers the versions of wanted
// resources only, so that it stays small whatever the size of the config.
type tracker struct {
	mu sync.Mutex // guards all below
	// streams are the open ADS streams.
	streams map[streamID]*stream
	wanted  want
	// changed is closed, and made anew, whenever an answer could be another.
	changed chan struct{}
}

// streamID is go-control-plane's number of a stream, which it counts for each
// variant of the protocol.
type streamID struct {
	world bool
	id    int64
}

// stream is one Envoy's ADS stream.
type stream struct {
	node  string
	build string // Envoy's version
	// shares tells that its bootstrap has EnvoysCluster.
	shares bool
	// greeted tells that it is known whether it shares; and held, that it gets nothing
	// until what is served suits it.
	greeted, held bool
	since         time.Time
	// last is the newest refusal, whatever was wanted.
	last *Refusal
	// refused are its refusals of what is wanted.
	refused []refusal
	acks    acknowledged
}

// acknowledged is what an Envoy has taken of what is wanted, in the words of
// the variant of the protocol that it speaks.
type acknowledged interface {
	// begin forgets what was taken of an earlier want.
	begin()
	// has tells whether all that is wanted of a type has been taken.
	has(t resource.Type, of wantedOf) bool
}

func newTracker() *tracker {
	return &tracker{streams: map[streamID]*stream{}, changed: make(chan struct{})}
}

func (t *tracker) opened(id streamID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &stream{since: time.Now()}
	if id.world {
		s.acks = newWorldAcks()
	} else {
		s.acks = newDeltaAcks()
	}
	t.streams[id] = s
}

func (t *tracker) closed(id streamID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.streams, id)
	t.signal()
}

// expect begins a step: what was refused before it is forgotten. It is called
// before the resources are offered, so that no acknowledgement is missed.
func (t *tracker) expect(w want) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wanted = w
	for _, s := range t.streams {
		s.acks.begin()
		s.refused = nil
	}
}

// with calls do for a stream that is open, under the lock.
func (t *tracker) with(id streamID, do func(s *stream)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, ok := t.streams[id]; ok {
		do(s)
		t.signal()
	}
}

// introduce notes who is at the other end, where the message says so.
func (s *stream) introduce(node *corev3.Node) {
	if node != nil {
		s.node, s.build = node.GetId(), buildVersion(node)
		s.shares = node.GetMetadata().GetFields()[EnvoysCluster].GetBoolValue()
	}
}

// refuse notes a refusal; names are what of it is wanted.
func (s *stream) refuse(typeURL string, names []string, message string) {
	s.last = &Refusal{At: time.Now(), Type: shortType(typeURL), Message: message}
	if len(names) > 0 {
		slices.Sort(names)
		s.refused = append(s.refused, refusal{node: s.node, typ: typeURL, names: names, message: message})
	}
}

// progress is where a step stands: which nodes are behind, and what was
// refused; and a channel that closes when that may have changed.
type progress struct {
	behind  []string
	refused []refusal
	changed <-chan struct{}
}

func (t *tracker) progress() progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := progress{changed: t.changed}
	for _, s := range t.streams {
		switch {
		case s.node == "":
			// Not yet an Envoy: it has asked for nothing, so it has nothing
			// that a new config could break.
		case s.held: // it waits for this
		case len(s.refused) > 0:
			p.refused = append(p.refused, s.refused...)
		case !t.hasAll(s):
			p.behind = append(p.behind, s.node)
		}
	}
	slices.Sort(p.behind)
	slices.SortFunc(p.refused, func(a, b refusal) int { return cmp.Or(strings.Compare(a.node, b.node), strings.Compare(a.typ, b.typ)) })
	return p
}

// hasAll is called with mu held.
func (t *tracker) hasAll(s *stream) bool {
	for typeURL, of := range t.wanted {
		if len(of.versions) > 0 && !s.acks.has(typeURL, of) {
			return false
		}
	}
	return true
}

// nodeOf is who is at the other end of a stream: an Envoy says it in its first
// message alone.
func (t *tracker) nodeOf(id streamID) string {
	node, _ := t.whoIs(id)
	return node
}

// whoIs is nodeOf with the release of that Envoy.
func (t *tracker) whoIs(id streamID) (node, build string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, ok := t.streams[id]; ok {
		return s.node, s.build
	}
	return "", ""
}

// connected is the number of Envoys.
func (t *tracker) connected() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, s := range t.streams {
		if s.node != "" {
			n++
		}
	}
	return n
}

// hold keeps an Envoy of a new stream that lacks EnvoysCluster from being waited for,
// until release, and tells whether it is one.
func (t *tracker) hold(id streamID) bool {
	hold := false
	t.with(id, func(s *stream) {
		hold = s.node != "" && !s.greeted && !s.shares
		s.greeted, s.held = s.node != "", hold
	})
	return hold
}

func (t *tracker) release(id streamID) { t.with(id, func(s *stream) { s.held = false }) }

// shares tells whether each Envoy has EnvoysCluster.
func (t *tracker) shares() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.streams {
		if s.node != "" && !s.shares {
			return false
		}
	}
	return true
}

// signal is called with mu held.
func (t *tracker) signal() {
	close(t.changed)
	t.changed = make(chan struct{})
}
