package xds

import (
	"slices"
	"strings"
	"time"
)

// EnvoyStatus is how one connected Envoy stands.
type EnvoyStatus struct {
	// Node is the id that the Envoy gives itself, Version its release.
	Node    string `json:"node"`
	Version string `json:"version"`
	// ConnectedAt is when its stream was opened.
	ConnectedAt time.Time `json:"connectedAt"`
	// UpToDate tells that it has acknowledged all that is served.
	UpToDate bool `json:"upToDate"`
	// Refused is the newest refusal on this stream. Nil: it took everything.
	Refused *Refusal `json:"refused,omitempty"`
}

// Refusal is a NACK.
type Refusal struct {
	At time.Time `json:"at"`
	// Type is the kind of resource, as Listener.
	Type string `json:"type"`
	// Message is what Envoy says, in its own words.
	Message string `json:"message"`
}

// Envoys are the connected Envoys, by node.
func (s *Server) Envoys() []EnvoyStatus { return s.tracker.envoys() }

func (t *tracker) envoys() []EnvoyStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := []EnvoyStatus{}
	for _, s := range t.streams {
		if s.node == "" {
			continue // it has asked for nothing yet
		}
		out = append(out, EnvoyStatus{
			Node: s.node, Version: s.build, ConnectedAt: s.since,
			UpToDate: len(s.refused) == 0 && t.hasAll(s),
			Refused:  s.last,
		})
	}
	slices.SortFunc(out, func(a, b EnvoyStatus) int {
		if c := strings.Compare(a.Node, b.Node); c != 0 {
			return c
		}
		return a.ConnectedAt.Compare(b.ConnectedAt)
	})
	return out
}
