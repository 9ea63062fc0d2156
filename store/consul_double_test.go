package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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

// consulDouble is Consul's key/value store as its HTTP API documents it: keys
// with indexes and flags, blocking queries, transactions, tokens, limits.
//
//	https://developer.hashicorp.com/consul/api-docs/kv
//	https://developer.hashicorp.com/consul/api-docs/txn
//	https://developer.hashicorp.com/consul/api-docs/features/blocking
type consulDouble struct {
	server *httptest.Server
	// fault answers a request instead, and returns true, where it is set.
	fault atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	// queries counts reads, and waiting those that block now.
	queries, waiting atomic.Int64
	token            string

	mu      sync.Mutex
	index   uint64
	pairs   map[string]doublePair
	changed chan struct{} // closed by the next change
}

type doublePair struct {
	LockIndex, CreateIndex, ModifyIndex, Flags uint64
	Key                                        string
	Value                                      []byte
}

const txnLimit = 512 << 10

func startConsul(t *testing.T) *consulDouble {
	d := &consulDouble{index: 10, pairs: map[string]doublePair{}, changed: make(chan struct{})}
	d.server = httptest.NewServer(d)
	t.Cleanup(func() {
		d.server.CloseClientConnections()
		d.server.Close()
	})
	return d
}

func (d *consulDouble) location() string {
	return "consul://" + d.server.Listener.Addr().String() + "/gw/config"
}

// fail sets the fault; nil ends it.
func (d *consulDouble) fail(fault func(http.ResponseWriter, *http.Request) bool) {
	if fault == nil {
		d.fault.Store(nil)
		return
	}
	d.fault.Store(&fault)
}

func (d *consulDouble) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if fault := d.fault.Load(); fault != nil && (*fault)(w, r) {
		return
	}
	if d.token != "" && r.Header.Get("X-Consul-Token") != d.token {
		http.Error(w, "Permission denied: anonymous token lacks permission 'key:read'", http.StatusForbidden)
		return
	}
	key, isKV := strings.CutPrefix(r.URL.Path, "/v1/kv/")
	switch {
	case r.URL.Path == "/v1/txn" && r.Method == http.MethodPut:
		d.transact(w, r)
	case isKV && r.Method == http.MethodGet:
		d.read(w, r, key)
	default:
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

func (d *consulDouble) read(w http.ResponseWriter, r *http.Request, key string) {
	d.queries.Add(1)
	query := r.URL.Query()
	least, _ := strconv.ParseUint(query.Get("index"), 10, 64)
	wait, err := time.ParseDuration(query.Get("wait"))
	if err != nil {
		wait = 5 * time.Minute
	}
	timeout := time.After(wait)
	for {
		d.mu.Lock()
		found, index, changed := d.find(key, query.Has("recurse")), d.index, d.changed
		d.mu.Unlock()
		if !query.Has("recurse") && len(found) > 0 {
			index = found[0].ModifyIndex
		}
		if least > 0 && index <= least && changed != nil {
			d.waiting.Add(1)
			select {
			case <-changed:
				d.waiting.Add(-1)
				continue
			case <-r.Context().Done():
				d.waiting.Add(-1)
				return
			case <-timeout:
				d.waiting.Add(-1)
			}
		}
		w.Header().Set("X-Consul-Index", strconv.FormatUint(index, 10))
		if len(found) == 0 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(found) // a client that has gone
		return
	}
}

// find is called under the lock.
func (d *consulDouble) find(key string, recurse bool) []doublePair {
	var found []doublePair
	for k, p := range d.pairs {
		if k == key || recurse && strings.HasPrefix(k, key) {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b doublePair) int { return strings.Compare(a.Key, b.Key) })
	return found
}

func (d *consulDouble) transact(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if len(body) > txnLimit {
		http.Error(w, fmt.Sprintf("Request body(%d bytes) too large, max size: %d bytes.", len(body), txnLimit), http.StatusRequestEntityTooLarge)
		return
	}
	var ops []struct {
		KV struct {
			Verb, Key    string
			Value        []byte
			Flags, Index uint64
		}
	}
	if err := json.Unmarshal(body, &ops); err != nil || len(ops) > 64 {
		http.Error(w, "Failed to parse body, or more than 64 operations", http.StatusBadRequest)
		return
	}
	type opError struct {
		OpIndex int
		What    string
	}
	var errs []opError
	d.mu.Lock()
	defer d.mu.Unlock()
	next := map[string]doublePair{}
	for k, p := range d.pairs {
		next[k] = p
	}
	index := d.index + 1
	for i, op := range ops {
		before, exists := next[op.KV.Key]
		set := op.KV.Verb == "set"
		switch op.KV.Verb {
		case "set":
		case "cas":
			set = op.KV.Index == before.ModifyIndex // 0 where it is not there
			if !set {
				errs = append(errs, opError{i, fmt.Sprintf("failed to set key %q, index is stale", op.KV.Key)})
			}
		case "check-index":
			if !exists || op.KV.Index != before.ModifyIndex {
				errs = append(errs, opError{i, fmt.Sprintf("current modify index %d does not equal %d", before.ModifyIndex, op.KV.Index)})
			}
		case "delete":
			delete(next, op.KV.Key)
		default:
			errs = append(errs, opError{i, fmt.Sprintf("unknown KV verb %q", op.KV.Verb)})
		}
		if !set || exists && bytes.Equal(before.Value, op.KV.Value) && before.Flags == op.KV.Flags {
			continue // a key that is set to what it was does not change
		}
		p := doublePair{Key: op.KV.Key, Value: op.KV.Value, Flags: op.KV.Flags, CreateIndex: index, ModifyIndex: index}
		if exists {
			p.CreateIndex = before.CreateIndex
		}
		next[op.KV.Key] = p
	}
	if len(errs) > 0 {
		w.WriteHeader(http.StatusConflict)
		_ = json.NewEncoder(w).Encode(map[string]any{"Results": nil, "Errors": errs})
		return
	}
	d.replaceLocked(next, index)
	_ = json.NewEncoder(w).Encode(map[string]any{"Results": []any{}, "Errors": nil})
}

func (d *consulDouble) replaceLocked(pairs map[string]doublePair, index uint64) {
	d.pairs, d.index = pairs, index
	close(d.changed)
	d.changed = make(chan struct{})
}

// put is consul kv put.
func (d *consulDouble) put(key, value string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	index := d.index + 1
	d.pairs[key] = doublePair{Key: key, Value: []byte(value), CreateIndex: index, ModifyIndex: index}
	d.replaceLocked(d.pairs, index)
}

// remove is consul kv delete.
func (d *consulDouble) remove(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.pairs, key)
	d.replaceLocked(d.pairs, d.index+1)
}

// restore is a snapshot restored, with one key in it, that is older than all.
func (d *consulDouble) restore(key, value string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.replaceLocked(map[string]doublePair{key: {Key: key, Value: []byte(value), CreateIndex: 2, ModifyIndex: 2}}, 2)
}
