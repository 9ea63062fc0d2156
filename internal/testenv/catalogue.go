package testenv

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Catalogue is Consul's catalogue of services with their health, as its HTTP API
// documents it: indexes, blocking queries, tags, tokens.
//
//	https://developer.hashicorp.com/consul/api-docs/health#list-service-instances-for-service
//	https://developer.hashicorp.com/consul/api-docs/features/blocking
type Catalogue struct {
	// URL is where it is.
	URL string
	// Queries counts those that were made, and Waiting those that block now.
	Queries, Waiting atomic.Int64
	// Token is asked of whoever asks, where it is not empty.
	Token string

	fault atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]

	mu       sync.Mutex // guards all below
	index    uint64
	services map[string][]Instance
	changed  chan struct{} // closed by the next change
	asked    []string      // the queries, without index and wait
}

// Instance is an instance of a service.
type Instance struct {
	ID, Address       string
	Port              int
	Tags              []string
	Meta, NodeMeta    map[string]string
	NodeAddress       string
	Checks            []string // passing, warning, critical
	WeightWhenPassing int
	WeightWhenWarning int
}

// StartCatalogue runs an empty one until the test ends.
func StartCatalogue(t testing.TB) *Catalogue {
	c := &Catalogue{index: 10, services: map[string][]Instance{}, changed: make(chan struct{})}
	server := httptest.NewServer(c)
	c.URL = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return c
}

// Fail has requests answered by fault where it returns true; nil ends that.
func (c *Catalogue) Fail(fault func(http.ResponseWriter, *http.Request) bool) {
	if fault == nil {
		c.fault.Store(nil)
		return
	}
	c.fault.Store(&fault)
}

// Set says which instances a service has.
func (c *Catalogue) Set(service string, instances ...Instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.services[service] = instances
	c.index++
	close(c.changed)
	c.changed = make(chan struct{})
}

// GoBack sets the index to one that is lower than all before, as after a snapshot has
// been restored.
func (c *Catalogue) GoBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.index = 2
	close(c.changed)
	c.changed = make(chan struct{})
}

// Asked are the queries so far, without index and wait.
func (c *Catalogue) Asked() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

// ServeHTTP implements http.Handler.
func (c *Catalogue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.Queries.Add(1)
	if fault := c.fault.Load(); fault != nil && (*fault)(w, r) {
		return
	}
	if c.Token != "" && r.Header.Get("X-Consul-Token") != c.Token {
		http.Error(w, "Permission denied: anonymous token lacks permission 'service:read'", http.StatusForbidden)
		return
	}
	service, ok := strings.CutPrefix(r.URL.Path, "/v1/health/service/")
	if !ok || r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	query := r.URL.Query()
	least, _ := strconv.ParseUint(query.Get("index"), 10, 64)
	wait, err := time.ParseDuration(query.Get("wait"))
	if err != nil {
		wait = 5 * time.Minute
	}
	query.Del("index")
	query.Del("wait")
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		c.mu.Lock()
		index, changed, instances := c.index, c.changed, c.services[service]
		c.asked = append(c.asked, service+"?"+query.Encode())
		c.mu.Unlock()
		if least > 0 && index == least {
			c.Waiting.Add(1)
			over := false
			select {
			case <-changed:
			case <-timeout.C:
				over = true
			case <-r.Context().Done():
				c.Waiting.Add(-1)
				return
			}
			c.Waiting.Add(-1)
			if !over {
				continue
			}
		}
		w.Header().Set("X-Consul-Index", strconv.FormatUint(index, 10))
		_ = json.NewEncoder(w).Encode(entries(instances, query["tag"])) // a client that has gone
		return
	}
}

// entries are the instances that have all tags, as Consul writes them.
func entries(instances []Instance, tags []string) []map[string]any {
	out := []map[string]any{}
	for _, i := range instances {
		if slices.ContainsFunc(tags, func(tag string) bool { return !slices.Contains(i.Tags, tag) }) {
			continue
		}
		checks := []map[string]string{{"CheckID": "serfHealth", "Status": "passing"}}
		for _, status := range i.Checks {
			checks = append(checks, map[string]string{"Status": status})
		}
		out = append(out, map[string]any{
			"Node": map[string]any{"Node": "n", "Address": i.NodeAddress, "Meta": i.NodeMeta},
			"Service": map[string]any{
				"ID": i.ID, "Address": i.Address, "Port": i.Port, "Tags": i.Tags, "Meta": i.Meta,
				"Weights": map[string]int{"Passing": max(i.WeightWhenPassing, 1), "Warning": max(i.WeightWhenWarning, 1)},
			},
			"Checks": checks,
		})
	}
	return out
}
