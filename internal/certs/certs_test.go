package certs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// world is a folder of certificates, a config that names them, and a store.
type world struct {
	t      *testing.T
	folder string
	ca     *testenv.CA
	config *config.Config
	store  *Store
	log    *testenv.Output
	now    atomic.Pointer[time.Time]
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, folder: t.TempDir(), ca: testenv.NewCA(t), log: &testenv.Output{}}
	w.issue("edge", "edge.example.com")
	w.issue("shop", "shop.example.com")
	w.write("clients.pem", w.ca.PEM)
	edge := &config.Certificate{Name: "edge.crt", Cert: w.path("edge.crt"), Key: w.path("edge.key")}
	w.config = &config.Config{Listeners: []*config.Listener{
		{Name: "plain"},
		{Name: "one", TLS: &config.ListenerTLS{Certificates: []*config.Certificate{edge, {Name: "shop.crt", Cert: w.path("shop.crt"), Key: w.path("shop.key")}}}},
		{Name: "two", TLS: &config.ListenerTLS{Certificates: []*config.Certificate{edge}, ClientCA: w.path("clients.pem")}},
	}}
	now := time.Now()
	w.now.Store(&now)
	w.store = NewStore(Options{
		Log: slog.New(slog.NewTextHandler(w.log, nil)), Registerer: prometheus.NewRegistry(), Clock: func() time.Time { return *w.now.Load() },
	})
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.folder, name) }

func (w *world) write(name string, content []byte) {
	w.t.Helper()
	testenv.ReplaceFile(w.t, w.path(name), content)
}

func (w *world) issue(name, dns string) {
	w.t.Helper()
	w.ca.IssueFiles(testenv.Leaf{DNS: []string{dns}}, w.path(name+".crt"), w.path(name+".key"))
}

// serve reads what there is and serves it.
func (w *world) serve() *Set {
	w.t.Helper()
	set, err := w.store.Read(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.store.Serve(w.config, set)
	return set
}

func TestReadAndServe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if w.store.Serves(w.path("edge.crt")) || len(w.store.Status()) > 0 {
		t.Error("it serves before it was told to")
	}
	set := w.serve()
	if len(set.Pairs) != 2 || len(set.Clients) != 1 || !bytes.Contains(set.Pairs["edge.crt"].Key, []byte("PRIVATE KEY")) || !bytes.Equal(set.Clients["two"].CA, w.ca.PEM) {
		t.Errorf("it has %+v", set)
	}
	for _, name := range []string{"edge.crt", "edge.key", "shop.key", "clients.pem"} {
		if !w.store.Serves(w.path(name)) {
			t.Errorf("%s is not served", name)
		}
	}
	if w.store.Serves("") || w.store.Serves(w.path("other")) {
		t.Error("it serves what nobody names")
	}
	status := w.store.Status()
	if len(status) != 3 || status[0].Certificate != "edge.crt" || fmt.Sprint(status[0].Listeners, status[0].Names) != "[one two] [edge.example.com]" ||
		status[2].Certificate != "" || fmt.Sprint(status[2].Listeners) != "[two]" {
		t.Errorf("status: %+v", status)
	}
	if got := testutil.ToFloat64(w.store.metrics.expiry.WithLabelValues("edge.crt")); got != float64(set.Pairs["edge.crt"].Leaf.NotAfter.Unix()) {
		t.Errorf("the metric says %f", got)
	}
	// What no config names any more is neither served nor told of.
	w.config = &config.Config{}
	w.serve()
	if w.store.Serves(w.path("edge.crt")) || len(w.store.Status()) > 0 || testutil.CollectAndCount(w.store.metrics.expiry) > 0 {
		t.Error("it serves what is not in the config")
	}
}

// TestBadFilesKeepTheOld: what goes bad is served as it was, and told once; what
// was never good is an error, and what is good beside it is taken.
func TestBadFilesKeepTheOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.serve()
	w.write("edge.crt", []byte("x"))
	w.issue("shop", "new.example.com")
	w.write("clients.pem", []byte("x"))
	for range 3 {
		after := w.serve()
		if after.Pairs["edge.crt"].Leaf != before.Pairs["edge.crt"].Leaf || after.Pairs["edge.crt"].Fault == nil || after.Clients["two"].Fault == nil {
			t.Errorf("the old is not kept: %+v", after.Pairs["edge.crt"])
		}
		if after.Pairs["shop.crt"].Leaf.DNSNames[0] != "new.example.com" {
			t.Error("the good one beside it is not taken")
		}
	}
	if n := strings.Count(w.log.String(), "what is in the files now is not served"); n != 2 {
		t.Errorf("it is told %d times:\n%s", n, w.log)
	}
	if got := testutil.ToFloat64(w.store.metrics.reloads.WithLabelValues("invalid")); got != 2 {
		t.Errorf("the metric says %f", got)
	}
	for _, s := range w.store.Status() {
		if (s.Fault != "") != (s.Certificate != "shop.crt") {
			t.Errorf("status: %+v", s)
		}
	}
	// The same name with another file is another certificate.
	w.config.Listeners[1].TLS.Certificates[0] = &config.Certificate{Name: "edge.crt", Cert: w.path("edge.crt"), Key: w.path("other.key")}
	if _, err := w.store.Read(w.config); err == nil || !strings.Contains(err.Error(), "listener one: certificate "+w.path("other.key")) && !strings.Contains(err.Error(), w.path("edge.crt")) {
		t.Errorf("a pair that was never good is taken: %v", err)
	}
}

// TestFollow: a change is taken when it is whole, and once.
func TestFollow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	ctx, cancel := context.WithCancel(t.Context())
	var changes atomic.Int32
	ended := make(chan error, 1)
	go func() {
		ended <- w.store.Follow(ctx, func(context.Context) {
			changes.Add(1)
			if set, err := w.store.Read(w.config); err == nil {
				w.store.Serve(w.config, set)
			}
		})
	}()
	names := func() string {
		return fmt.Sprint(w.store.Status()[0].Names, w.store.Status()[0].Fault)
	}
	w.issue("edge", "second.example.com")
	testenv.Eventually(t, "the change is taken", func() error {
		if got := names(); got != "[second.example.com]" {
			return errors.New(got)
		}
		return nil
	})
	if err := os.Remove(w.path("edge.key")); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the fault is seen", func() error {
		if got := names(); !strings.HasPrefix(got, "[second.example.com]") || !strings.Contains(got, "must be a file that is there") {
			return errors.New(got)
		}
		return nil
	})
	seen := changes.Load()
	later := w.now.Load().Add(2 * time.Hour)
	w.now.Store(&later)
	testenv.Eventually(t, "that it has expired is told", func() error {
		if !strings.Contains(w.log.String(), "a certificate has expired that is served") {
			return errors.New("it is not")
		}
		return nil
	})
	if changes.Load() != seen {
		t.Errorf("%d changes, and then %d", seen, changes.Load())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if set, err := Load(w.config); err != nil || len(set.Pairs) != 2 {
		t.Errorf("%v, %v", set, err)
	}
	w.write("shop.key", []byte("x"))
	if _, err := Load(w.config); err == nil {
		t.Error("a bad key is taken")
	}
}

// TestBackends: what backends are shown and known by is kept like what listeners
// show, for each backend or, of the machine's authorities, for all.
func TestBackends(t *testing.T) {
	w := newWorld(t)
	t.Setenv("SSL_CERT_FILE", w.path("system.pem"))
	w.write("system.pem", w.ca.PEM)
	shown := &config.Certificate{Name: "shown.crt", Cert: w.path("edge.crt"), Key: w.path("edge.key")}
	w.config.Backends = map[string]*config.Backend{
		"plain":  {Name: "plain"},
		"public": {Name: "public", TLS: &config.BackendTLS{}},
		"orders": {Name: "orders", TLS: &config.BackendTLS{CA: w.path("clients.pem"), Certificate: shown}},
	}
	set := w.serve()
	if len(set.Shown) != 1 || len(set.Roots) != 2 || !bytes.Equal(set.Roots[""].CA, w.ca.PEM) || !bytes.Equal(set.Roots["orders"].CA, w.ca.PEM) {
		t.Errorf("it has %+v, %+v", set.Shown, set.Roots)
	}
	if !w.store.Serves(w.path("system.pem")) {
		t.Error("the authorities of the machine are not served")
	}
	var told []string
	for _, s := range w.store.Status()[3:] {
		told = append(told, s.Certificate+" "+s.Backend+fmt.Sprint(s.NotAfter.IsZero()))
	}
	if got := strings.Join(told, ", "); got != "shown.crt ordersfalse,  *true,  ordersfalse" {
		t.Errorf("status tells of %s", got)
	}
	if testutil.CollectAndCount(w.store.metrics.shown) != 1 || testutil.CollectAndCount(w.store.metrics.backends) != 1 {
		t.Error("the metrics tell of others")
	}
	w.write("edge.key", []byte("x"))
	w.write("clients.pem", []byte("x"))
	w.write("system.pem", []byte("x"))
	// Another backend with the same files is no reason to be without what was in them.
	w.config.Backends["more"] = &config.Backend{Name: "more", TLS: w.config.Backends["orders"].TLS}
	next := w.serve()
	for _, a := range []*Authorities{next.Roots[""], next.Roots["orders"], next.Roots["more"]} {
		if a.Fault == nil || !bytes.Equal(a.CA, w.ca.PEM) {
			t.Errorf("authorities: %v", a.Fault)
		}
	}
	for _, name := range []string{"orders", "more"} {
		if p := next.Shown[name]; p.Fault == nil || p.Pair != set.Shown["orders"].Pair {
			t.Errorf("%s: %v", name, p.Fault)
		}
	}
	w.config.Backends["other"] = &config.Backend{Name: "other", TLS: &config.BackendTLS{CA: w.path("none")}}
	if _, err := w.store.Read(w.config); err == nil || !strings.Contains(err.Error(), "backend other: ca ") {
		t.Errorf("a file that is not there: %v", err)
	}
}
