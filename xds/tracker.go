package xds

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// want is what a step of a publication waits for: these resources, in these
// versions, acknowledged by every connected Envoy.
type want map[resource.Type]map[string]string

func (w want) empty() bool {
	for _, names := range w {
		if len(names) > 0 {
			return false
		}
	}
	return true
}

// tracker knows, for each connected Envoy, which of the wanted resources it has
// acknowledged, and what it has refused. It remembers the versions of wanted
// resources only, so that it stays small whatever the size of the config.
type tracker struct {
	mu sync.Mutex // guards all below
	// streams are the open ADS streams, by go-control-plane's stream id.
	streams map[int64]*stream
	wanted  want
	// changed is closed, and made anew, whenever an answer could be another.
	changed chan struct{}
}

// stream is one Envoy's ADS stream.
type stream struct {
	node  string
	build string // Envoy's version
	since time.Time
	// last is the newest refusal, whatever was wanted.
	last *Refusal
	// sent are the wanted versions in each response that is not yet answered.
	sent map[string]map[string]string // by nonce, then resource name
	// have are the wanted versions that this Envoy has acknowledged.
	have want
	// refused is Envoy's own word on what it would not take, or empty.
	refused string
}

func newTracker() *tracker {
	return &tracker{streams: map[int64]*stream{}, changed: make(chan struct{})}
}

func (t *tracker) opened(id int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.streams[id] = &stream{since: time.Now(), sent: map[string]map[string]string{}, have: want{}}
}

func (t *tracker) closed(id int64) {
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
		s.have, s.refused = want{}, ""
	}
}

// responded notes which wanted versions go out under a nonce.
func (t *tracker) responded(id int64, typeURL, nonce string, versions map[string]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.streams[id]
	if !ok {
		return
	}
	s.sent[nonce] = t.onlyWanted(typeURL, versions)
}

// answer is what an Envoy says to a response.
type answer struct {
	node    *corev3.Node
	typeURL string
	nonce   string
	// initial are the versions that an Envoy brings from an earlier stream.
	initial map[string]string
	// refused is Envoy's word where this is a NACK.
	refused string
}

// answerOf reads an ADS request as an answer. The first request of a type has
// no nonce: it only subscribes.
func answerOf(req *discoveryv3.DeltaDiscoveryRequest) answer {
	return answer{
		node:    req.GetNode(),
		typeURL: req.GetTypeUrl(),
		nonce:   req.GetResponseNonce(),
		initial: req.GetInitialResourceVersions(),
		refused: req.GetErrorDetail().GetMessage(),
	}
}

// answered notes an acknowledgement or a refusal.
func (t *tracker) answered(id int64, a answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.streams[id]
	if !ok {
		return
	}
	if a.node != nil {
		s.node, s.build = a.node.GetId(), buildVersion(a.node)
	}
	s.note(a.typeURL, t.onlyWanted(a.typeURL, a.initial))
	if a.refused != "" {
		s.refused = fmt.Sprintf("%s: %s", shortType(a.typeURL), a.refused)
		s.last = &Refusal{At: time.Now(), Type: shortType(a.typeURL), Message: a.refused}
	} else {
		s.note(a.typeURL, s.sent[a.nonce])
	}
	delete(s.sent, a.nonce)
	t.signal()
}

func (s *stream) note(typeURL string, versions map[string]string) {
	if len(versions) == 0 {
		return
	}
	if s.have[typeURL] == nil {
		s.have[typeURL] = map[string]string{}
	}
	maps.Copy(s.have[typeURL], versions)
}

// onlyWanted is called with mu held.
func (t *tracker) onlyWanted(typeURL string, versions map[string]string) map[string]string {
	var out map[string]string
	for name, version := range versions {
		if t.wanted[typeURL][name] == version {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = version
		}
	}
	return out
}

// progress is where a step stands: which nodes are behind, and what was
// refused; and a channel that closes when that may have changed.
type progress struct {
	behind  []string
	refused []string
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
		case s.refused != "":
			p.refused = append(p.refused, fmt.Sprintf("%s refused %s", s.node, s.refused))
		case !t.hasAll(s):
			p.behind = append(p.behind, s.node)
		}
	}
	slices.Sort(p.behind)
	slices.Sort(p.refused)
	return p
}

// hasAll is called with mu held.
func (t *tracker) hasAll(s *stream) bool {
	for typeURL, names := range t.wanted {
		for name, version := range names {
			if s.have[typeURL][name] != version {
				return false
			}
		}
	}
	return true
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

// signal is called with mu held.
func (t *tracker) signal() {
	close(t.changed)
	t.changed = make(chan struct{})
}
