package test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

const biased = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  weights: {endpoints: &two [{address: "{{.heavy}}", weight: 2}, "{{.light}}"], loadBalancing: {policy: least_request, activeRequestBias: 0}}
  usual: {endpoints: *two, loadBalancing: {policy: least_request}}
  strong: {endpoints: *two, loadBalancing: {policy: least_request, activeRequestBias: 6}}
routes:
  - {name: weights, match: {path: /weights/**}, auth: public, to: [{backend: weights}]}
  - {name: usual, match: {path: /usual/**}, auth: public, to: [{backend: usual}]}
  - {name: strong, match: {path: /strong/**}, auth: public, to: [{backend: strong}]}
`

// TestActiveRequestBias: of an endpoint with twice the weight of the other the number of
// requests in flight counts for nothing, as it is, or to a high power.
func TestActiveRequestBias(t *testing.T) {
	t.Parallel()
	var inFlight atomic.Int64
	release := make(chan struct{})
	heavy := backendThat(t, "heavy", func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/held") {
			inFlight.Add(1)
			<-release
		}
		return false
	})
	defer close(release) // before the gateway ends, which waits for them
	g := start(t, setup{config: biased, values: map[string]string{"heavy": heavy.Addr(), "light": backend(t, "light").Addr()}})
	for name, c := range map[string]struct{ held, least, most int }{
		"weights": {8, 55, 65}, // 2 to 1, and so 60 of 90
		"usual":   {8, 10, 23}, // 2/9 to 1: 16
		"strong":  {1, 0, 10},  // 2/64 to 1: 3
	} {
		for held := inFlight.Load(); inFlight.Load() < held+int64(c.held); {
			now, answered := inFlight.Load(), make(chan struct{})
			go func() {
				_, _ = try(http.MethodGet, g.url("public", "/"+name+"/held"))
				close(answered) // of the heavy one at the very end
			}()
			eventually(t, "a request is held, or answered", func() error {
				select {
				case <-answered:
					return nil
				default:
				}
				if inFlight.Load() == now {
					return errors.New("it is neither")
				}
				return nil
			})
		}
		if got := shares(t, g.url("public", "/"+name+"/more"), 90)["heavy"]; got < c.least || got > c.most {
			t.Errorf("%s: of 90 requests %d went to the endpoint with those in flight, want %d to %d", name, got, c.least, c.most)
		}
	}
}
