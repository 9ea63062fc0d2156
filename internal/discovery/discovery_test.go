package discovery

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/consul"
	"github.com/gatewright/gatewright/internal/testenv"
)

// world is a store, what it asks, and what it logs.
type world struct {
	*Store
	catalogue *testenv.Catalogue
	folder    string
	log       *testenv.Output
	config    *config.Config
}

// discovering is a store that has prepared and serves a config in which the backend b is
// discovered so.
func discovering(t *testing.T, catalogue *testenv.Catalogue, folder string, said *config.Discovery) *world {
	t.Helper()
	w := &world{catalogue: catalogue, folder: folder, log: &testenv.Output{}}
	w.config = &config.Config{
		Listeners: []*config.Listener{{Name: "public", Address: "127.0.0.1:8080"}},
		Backends:  map[string]*config.Backend{"b": {Name: "b", Discovery: said}},
	}
	w.Store = NewStore(Options{
		Log: slog.New(slog.NewTextHandler(w.log, nil)), Registerer: prometheus.NewRegistry(), Folder: folder,
		Wait: 200 * time.Millisecond, Gap: time.Millisecond,
		Consul: func() (*consul.Client, error) {
			at, err := url.Parse(catalogue.URL)
			return consul.New(*at, "sesame", http.DefaultTransport.(*http.Transport).Clone()), err
		},
	})
	t.Cleanup(w.Close)
	return w
}

// served are the endpoints of b in words, one by one.
func (w *world) served() []string {
	out := []string{}
	for _, e := range w.Endpoints(w.config)["b"] {
		out = append(out, e.String())
	}
	return out
}

func (w *world) until(t *testing.T, want ...string) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprintf("the endpoints are %v", want), func() error {
		if got := w.served(); !slices.Equal(got, want) {
			return fmt.Errorf("they are %v", got)
		}
		return nil
	})
}

// faulty waits until a fault is told that has a text; "" is none.
func (w *world) faulty(t *testing.T, text string) {
	t.Helper()
	testenv.Eventually(t, fmt.Sprintf("the fault is %q", text), func() error {
		fault := w.Status()[0].Fault
		if fault == "" != (text == "") || !strings.Contains(fault, text) {
			return fmt.Errorf("it is %q", fault)
		}
		return nil
	})
	want := 0.0
	if text != "" {
		want = 1
	}
	testenv.Eventually(t, "the metric says so", func() error {
		if got := testutil.ToFloat64(w.metrics.faulty.WithLabelValues("b")); got != want {
			return fmt.Errorf("it says %v", got)
		}
		return nil
	})
}

func (w *world) serve(t *testing.T) {
	t.Helper()
	if err := w.Prepare(t.Context(), w.config); err != nil {
		t.Fatal(err)
	}
	w.Serve(w.config)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".next", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".next", path); err != nil {
		t.Fatal(err)
	}
}

// TestFile: endpoints follow their file; what is bad changes nothing and is told.
func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "endpoints.yaml")
	write(t, path, "endpoints: [10.0.0.2:80, {address: \"10.0.0.1:80\", weight: 3, zone: a}]\n")
	w := discovering(t, testenv.StartCatalogue(t), t.TempDir(), &config.Discovery{File: path})
	w.serve(t)
	good := []string{"10.0.0.1:80 weight 3 zone a", "10.0.0.2:80"}
	w.until(t, good...)
	w.faulty(t, "")

	for content, fault := range map[string]string{
		"endpoints: [10.0.0.1]\n":               "endpoints.yaml:1: endpoints[0]: 10.0.0.1, must be host:port",
		"endpoints: [a.internal:80]\n":          "endpoints[0]: a.internal:80, must be an IP address",
		"endpoints: [127.0.0.1:8080]\n":         "is the gateway's own listener",
		"endpoints: [\"169.254.169.254:80\"]\n": "it hands out credentials",
		"endpoint: []\n":                        "unknown field",
		"{}\n":                                  "endpoints: is missing",
		"":                                      "the document is empty",
		"endpoints: [10.0.0.1:80":               "endpoints.yaml:1",
		"endpoints: [{address: \"10.0.0.1:80\", priority: 1}]": "none of 0",
	} {
		write(t, path, content)
		w.faulty(t, fault)
		w.until(t, good...)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w.faulty(t, "no such file")
	w.until(t, good...)

	write(t, path, "endpoints: [10.0.0.3:80]\n")
	w.until(t, "10.0.0.3:80")
	w.faulty(t, "")
	write(t, path, "endpoints: []\n") // which somebody has said
	w.until(t)
	w.faulty(t, "")
}

// TestFileNotThere: a config is not ready that names a file without endpoints, and says
// why; a store that has known them has them after a restart.
func TestFileNotThere(t *testing.T) {
	t.Parallel()
	path, folder := filepath.Join(t.TempDir(), "endpoints.yaml"), t.TempDir()
	first := discovering(t, testenv.StartCatalogue(t), folder, &config.Discovery{File: path})
	err := first.Prepare(t.Context(), first.config)
	if err == nil || !strings.Contains(err.Error(), "backends.b.discovery: reading ") || !strings.Contains(err.Error(), "no such file") {
		t.Fatalf("without a file: %v", err)
	}
	write(t, path, "endpoints: [10.0.0.1:80]\n")
	first.until(t, "10.0.0.1:80")
	first.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}

	again := discovering(t, testenv.StartCatalogue(t), folder, &config.Discovery{File: path})
	again.serve(t)
	again.until(t, "10.0.0.1:80")
	if s := again.Status()[0]; s.ConfirmedAt != nil || s.Endpoints != 1 {
		t.Errorf("after a restart the status is %+v", s)
	}
	again.faulty(t, "no such file")

	// What another source has left there is not served, nor what must not be.
	kept, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("%v is kept, %v", kept, err)
	}
	content, err := os.ReadFile(kept[0])
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	for _, poison := range []string{
		strings.Replace(string(content), "10.0.0.1", "169.254.169.254", 1),
		strings.Replace(string(content), "endpoints.yaml", "others.yaml", 1),
		string(content[:len(content)/2]),
		"null", `{"endpoints": [null]}`,
	} {
		if err := os.WriteFile(kept[0], []byte(poison), 0o600); err != nil {
			t.Fatal(err)
		}
		poisoned := discovering(t, testenv.StartCatalogue(t), folder, &config.Discovery{File: path})
		if err := poisoned.Prepare(t.Context(), poisoned.config); err == nil {
			t.Errorf("served from the state folder: %s", poison)
		}
		poisoned.Close()
	}
}

// at is an instance at an address of 10.0.0.0/24, port 80.
func at(last int, checks ...string) testenv.Instance {
	return testenv.Instance{ID: fmt.Sprintf("i%d", last), Address: fmt.Sprintf("10.0.0.%d", last), Port: 80, Checks: checks}
}

// TestConsul: the instances that are well are the endpoints, and follow the catalogue.
func TestConsul(t *testing.T) {
	t.Parallel()
	c := testenv.StartCatalogue(t)
	c.Token = "sesame"
	c.Set("users", at(3, "passing"), at(1, "passing", "warning"), at(2, "critical"))
	w := discovering(t, c, t.TempDir(), &config.Discovery{Consul: &config.ConsulService{Service: "users", Datacenter: "east", Filter: "Service.Port == 80"}})
	w.serve(t)
	w.until(t, "10.0.0.1:80", "10.0.0.3:80")
	if asked := c.Asked()[0]; asked != "users?dc=east&filter=Service.Port+%3D%3D+80" {
		t.Errorf("asked for %s", asked)
	}
	testenv.Eventually(t, "a query that waits", func() error {
		if c.Waiting.Load() != 1 {
			return fmt.Errorf("%d wait", c.Waiting.Load())
		}
		return nil
	})
	heavy := at(4, "passing")
	heavy.WeightWhenPassing = 5
	byNode := testenv.Instance{ID: "n", NodeAddress: "2001:db8::1", Port: 81}
	c.Set("users", heavy, byNode)
	w.until(t, "10.0.0.4:80 weight 5", "[2001:db8::1]:81")
	c.GoBack()
	c.Set("users", at(5))
	w.until(t, "10.0.0.5:80")
	w.faulty(t, "")
}

// TestConsulChoice: which instances a backend wants.
func TestConsulChoice(t *testing.T) {
	t.Parallel()
	c := testenv.StartCatalogue(t)
	blue, green, warning := at(1), at(2), at(3, "warning")
	blue.Tags, green.Tags, warning.Tags = []string{"v2", "blue"}, []string{"v2"}, []string{"v2", "blue"}
	blue.Meta, green.NodeMeta, warning.WeightWhenWarning = map[string]string{"zone": "eu-1a"}, map[string]string{"zone": "eu-1b"}, 7
	c.Set("users", blue, green, warning)
	for want, said := range map[string]config.ConsulService{
		"10.0.0.1:80 10.0.0.2:80 10.0.0.3:80 weight 7":                       {},
		"10.0.0.1:80 10.0.0.2:80":                                            {OnlyPassing: true},
		"10.0.0.1:80 10.0.0.3:80 weight 7":                                   {Tags: []string{"v2", "blue"}},
		"10.0.0.1:80 zone eu-1a 10.0.0.2:80 zone eu-1b 10.0.0.3:80 weight 7": {ZoneMeta: "zone"},
	} {
		said.Service = "users"
		w := discovering(t, c, t.TempDir(), &config.Discovery{Consul: &said})
		w.serve(t)
		if got := strings.Join(w.served(), " "); got != want {
			t.Errorf("%+v has %s, want %s", said, got, want)
		}
	}
}

// TestConsulSaysNothing: neither an outage nor an empty answer takes endpoints away, unless
// the config believes it.
func TestConsulSaysNothing(t *testing.T) {
	t.Parallel()
	c, folder := testenv.StartCatalogue(t), t.TempDir()
	c.Set("users", at(1), at(2))
	w := discovering(t, c, folder, &config.Discovery{Consul: &config.ConsulService{Service: "users"}})
	w.serve(t)
	good := []string{"10.0.0.1:80", "10.0.0.2:80"}
	w.until(t, good...)

	c.Set("users", at(1, "critical"), at(2, "critical"))
	w.faulty(t, "consul has 2 instances of users, and none that is to have requests")
	w.until(t, good...)
	c.Set("users")
	w.faulty(t, "consul has 0 instances of users")
	w.until(t, good...)
	for text, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"HTTP 500": func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "No cluster leader", http.StatusInternalServerError)
			return true
		},
		"not permitted": func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "Permission denied", http.StatusForbidden)
			return true
		},
		"this is not Consul": func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, "[]"); return true },
		"reading the answer": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("X-Consul-Index", "7")
			fmt.Fprint(w, "<html>")
			return true
		},
		"no answer": func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
	} {
		c.Fail(fault)
		w.faulty(t, text)
		w.until(t, good...)
	}
	c.Fail(nil)
	c.Set("users", at(2), testenv.Instance{ID: "bad", Address: "169.254.169.254", Port: 80}, testenv.Instance{ID: "name", Address: "a.internal", Port: 80})
	w.until(t, "10.0.0.2:80")
	w.faulty(t, `instance "bad" at "169.254.169.254:80" is left out: must not be an instance metadata`)
	c.Set("users", at(3))
	w.until(t, "10.0.0.3:80")
	w.faulty(t, "")
	w.Close()

	// A start while Consul is away.
	c.Fail(func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) })
	again := discovering(t, c, folder, &config.Discovery{Consul: &config.ConsulService{Service: "users"}})
	again.serve(t)
	again.until(t, "10.0.0.3:80")
	again.faulty(t, "no answer")
	stranger := discovering(t, c, folder, &config.Discovery{Consul: &config.ConsulService{Service: "orders"}})
	if err := stranger.Prepare(t.Context(), stranger.config); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("a service of which nothing was ever known: %v", err)
	}
	c.Fail(nil)

	c.Set("carts", at(1))
	believing := discovering(t, c, folder, &config.Discovery{Consul: &config.ConsulService{Service: "carts", AllowEmpty: true}})
	believing.serve(t)
	believing.until(t, "10.0.0.1:80")
	c.Set("carts")
	believing.until(t)
	believing.faulty(t, "")
}

// TestSourcesEnd: what no config names any more is not asked any more.
func TestSourcesEnd(t *testing.T) {
	t.Parallel()
	c := testenv.StartCatalogue(t)
	c.Set("users", at(1))
	w := discovering(t, c, t.TempDir(), &config.Discovery{Consul: &config.ConsulService{Service: "users"}})
	w.serve(t)
	w.Serve(&config.Config{})
	testenv.Eventually(t, "nobody asks", func() error {
		if n := c.Waiting.Load(); n > 0 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	if len(w.Status()) > 0 || len(w.sources) > 0 {
		t.Errorf("there are still %v", w.Status())
	}
}
