package store

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// openConsul opens a store whose queries come fast.
func openConsul(t *testing.T, location string) *ledger {
	t.Helper()
	s := openWith(t, location, Settings{}, "")
	s.medium.(*consul).gap = 10 * time.Millisecond
	return s
}

// TestConsulGoesBack: after a snapshot was restored, indexes are lower.
func TestConsulGoesBack(t *testing.T) {
	t.Parallel()
	d := startConsul(t)
	s := openConsul(t, d.location())
	s.medium.(*consul).wait = 100 * time.Millisecond
	apply(t, s, "one", Write{})
	apply(t, s, "two", Write{})
	w := watch(t, s, nil)
	w.until("two")
	d.restore("gw/config", "restored")
	w.until("restored")
	d.put("gw/config", "after")
	w.until("after")
	w.quiet()
}

// TestConsulWaits: a query that waited without a change delivers nothing, and
// the next one waits again.
func TestConsulWaits(t *testing.T) {
	t.Parallel()
	d := startConsul(t)
	s := openConsul(t, d.location())
	s.medium.(*consul).wait = 20 * time.Millisecond
	d.put("gw/config", "one")
	w := watch(t, s, nil)
	w.until("one")
	eventually(t, "ten queries", func() bool { return d.queries.Load() > 30 })
	w.quiet()
	d.put("gw/config", "two")
	w.until("two")
}

// TestConsulBlocks: between changes there is one query, which waits.
func TestConsulBlocks(t *testing.T) {
	t.Parallel()
	d := startConsul(t)
	d.put("gw/config", "one")
	w := watch(t, openConsul(t, d.location()), nil)
	w.until("one")
	eventually(t, "a query that waits", func() bool { return d.waiting.Load() == 1 })
	d.put("gw/config", "two")
	w.until("two")
	// Changes of other keys wake it, as they may in Consul, and are no news.
	d.put("other", "x")
	eventually(t, "a query that waits", func() bool { return d.waiting.Load() == 1 })
	w.quiet()
}

// TestConsulDoesNotSpin: a server whose queries do not block is not asked more
// often than the gap says.
func TestConsulDoesNotSpin(t *testing.T) {
	t.Parallel()
	for _, index := range []string{"0", "7"} {
		var queries atomic.Int64
		d := startConsul(t)
		d.fail(func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("X-Consul-Index", index)
			if r.URL.Query().Has("recurse") || r.URL.Query().Has("consistent") {
				w.WriteHeader(http.StatusNotFound)
				return true
			}
			queries.Add(1)
			w.WriteHeader(http.StatusNotFound)
			return true
		})
		s := openConsul(t, d.location())
		const gap = 50 * time.Millisecond
		s.medium.(*consul).gap = gap
		began := time.Now()
		watch(t, s, nil)
		eventually(t, "ten queries", func() bool { return queries.Load() >= 10 })
		if took := time.Since(began); took < 9*gap {
			t.Errorf("index %s: ten queries in %s", index, took)
		}
	}
}

// TestConsulFails: an outage is told once, whatever it looks like, and ends.
func TestConsulFails(t *testing.T) {
	t.Parallel()
	for text, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		`HTTP 500: "No cluster leader"`: func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "No cluster leader", http.StatusInternalServerError)
			return true
		},
		"HTTP 404 without X-Consul-Index": func(w http.ResponseWriter, r *http.Request) bool {
			http.NotFound(w, r)
			return true
		},
		"reading the answer": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("X-Consul-Index", "99")
			_, _ = w.Write([]byte("<html>"))
			return true
		},
		"HTTP 307": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "http://127.0.0.1:1/elsewhere", http.StatusTemporaryRedirect)
			return true
		},
		"no answer": func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			d := startConsul(t)
			s := openConsul(t, d.location())
			d.put("gw/config", "one")
			d.fail(fault)
			w := watch(t, s, nil)
			w.untilFailure(text)
			_, err := s.Read(background)
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("got error %v, want %q in it", err, text)
			}
			if _, err := s.Apply(background, []byte("x"), Write{Who: "ann"}); err == nil {
				t.Error("Apply succeeds")
			}
			d.fail(nil)
			w.until("one")
			w.quiet()
		})
	}
}

// TestConsulCutOff: what changed while the network was away is delivered.
func TestConsulCutOff(t *testing.T) {
	t.Parallel()
	d := startConsul(t)
	p := startProxy(t, d.server.Listener.Addr().String())
	d.put("gw/config", "one")
	w := watch(t, openConsul(t, "consul://"+p.address()+"/gw/config"), nil)
	w.until("one")
	p.cut()
	w.untilFailure("no answer")
	d.put("gw/config", "two")
	p.mend()
	w.until("two")
	w.quiet()
}

// TestConsulHangs: nobody waits for longer than it said.
func TestConsulHangs(t *testing.T) {
	t.Parallel()
	d := startConsul(t)
	d.fail(func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	})
	ctx, cancel := context.WithTimeout(background, 50*time.Millisecond)
	defer cancel()
	_, err := openConsul(t, d.location()).Read(ctx)
	wantError(t, err, context.DeadlineExceeded)
}

// TestConsulAnswerIsLost: the history tells whether a write was done.
func TestConsulAnswerIsLost(t *testing.T) {
	t.Parallel()
	d := startConsul(t)
	s := openConsul(t, d.location())
	lost := func(done bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/v1/txn" {
				return false
			}
			if done {
				d.transact(httptest.NewRecorder(), r)
			}
			http.Error(w, "rpc error: no answer", http.StatusInternalServerError)
			return true
		}
	}
	d.fail(lost(true))
	v := apply(t, s, "one", Write{})
	want(t, "version", *read(t, s).Version, v)
	d.fail(lost(false))
	_, err := s.Apply(background, []byte("two"), Write{Who: "ann"})
	wantError(t, err, errOutcomeUnknown)
	want(t, "content", string(read(t, s).Data), "one")
}

// TestConsulWriteComesBetween: the key and its history are read one after the
// other, and a write that comes between is no edit by hand.
func TestConsulWriteComesBetween(t *testing.T) {
	t.Parallel()
	d := startConsul(t)
	s, other := openConsul(t, d.location()), openConsul(t, d.location())
	apply(t, s, "one", Write{})
	var once sync.Once
	d.fail(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has("recurse") {
			once.Do(func() {
				d.fail(nil)
				apply(t, other, "two", Write{})
			})
		}
		return false
	})
	got := read(t, s)
	want(t, "content", string(got.Data), "two")
	if got.Version == nil || got.Version.Number != 2 {
		t.Errorf("version: %v", got.Version)
	}
}

// TestConsulRefuses: a transaction that may not be is no conflict.
func TestConsulRefuses(t *testing.T) {
	t.Parallel()
	d := startConsul(t)
	d.fail(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v1/txn" {
			return false
		}
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"Results":null,"Errors":[{"OpIndex":0,"What":"Permission denied"}]}`))
		return true
	})
	_, err := openConsul(t, d.location()).Apply(background, []byte("x"), Write{Who: "ann"})
	if err == nil || !strings.Contains(err.Error(), "Permission denied") {
		t.Errorf("got %v", err)
	}
}

// TestConsulToken: without the right one there is no config, and it is in no
// error.
func TestConsulToken(t *testing.T) {
	t.Parallel()
	d := startConsul(t)
	d.token = "b1gs33cr3t"
	s := openWith(t, d.location(), Settings{ConsulToken: d.token}, "")
	apply(t, s, "one", Write{})
	want(t, "content", string(read(t, s).Data), "one")
	_, err := openWith(t, d.location(), Settings{ConsulToken: d.token + "!"}, "").Read(background)
	if err == nil || !strings.Contains(err.Error(), "not permitted") || strings.Contains(err.Error(), d.token) {
		t.Errorf("with another token: %v", err)
	}
}

func TestConsulTLS(t *testing.T) {
	t.Parallel()
	d := startConsul(t)
	server := httptest.NewUnstartedServer(d)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of clients that do not trust it
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	location := "consuls://" + server.Listener.Addr().String() + "/gw/config"
	s := openWith(t, location, Settings{ConsulCA: ca}, "")
	apply(t, s, "one", Write{})
	want(t, "content", string(read(t, s).Data), "one")
	_, err := openWith(t, location, Settings{}, "").Read(background)
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody trusts: %v", err)
	}
}

func TestConsulTooLarge(t *testing.T) {
	t.Parallel()
	s := openConsul(t, startConsul(t).location())
	noise := make([]byte, 300<<10)
	_, _ = rand.Read(noise) // never fails
	_, err := s.Apply(background, noise, Write{Who: "ann"})
	wantError(t, err, ErrTooLarge)
	if err != nil && !strings.Contains(err.Error(), "512 KiB") {
		t.Errorf("the error does not say the limit: %v", err)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
