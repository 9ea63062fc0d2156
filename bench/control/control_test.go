package main

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// TestMain is main's way into a child, of which this program is the parent.
func TestMain(m *testing.M) {
	if asked := os.Getenv(childVariable); asked != "" {
		rig.ExitOn(runChild(asked, os.Stdout))
		return
	}
	os.Exit(m.Run())
}

// smallSize measures everything there is, in a few seconds, and nothing well.
func smallSize() options {
	o := fullSize()
	o.lookupRoutes = sizes{{routes: 10, hosts: 1}, {routes: 40, hosts: 1}, {routes: 1000, hosts: 10}}
	o.lookupRounds, o.lookupTime, o.lookupConnections = 2, 100*time.Millisecond, 2
	o.changeRoutes = sizes{{routes: 30, hosts: 1}, {routes: 1000, hosts: 10}, {routes: 1100, hosts: 1}, {routes: 60, hosts: 2, policies: 3}}
	o.changes, o.fileChanges = 4, 2
	o.churn, o.churnBatch, o.edits = 7, 3, 11
	o.compileRoutes, o.compileRuns = sizes{{routes: 30, hosts: 3}}, 2
	o.envoys, o.envoysRoutes, o.envoysSteady = counts{1, 3}, size{routes: 1000, hosts: 10}, 100*time.Millisecond
	return o
}

// TestEverythingIsMeasured: every row is there with its samples, and no request
// failed. How fast it was is nothing for a test.
func TestEverythingIsMeasured(t *testing.T) {
	t.Setenv("GATEWRIGHT_ENVOY", testenv.Envoy(t))
	o := smallSize()
	var progress bytes.Buffer
	got, err := measure(t.Context(), o, &progress)
	if err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	samplesOf := map[string]int{}
	for _, r := range got.rows {
		if r.failed > 0 {
			t.Errorf("%s: %d requests failed: %s", r.what, r.failed, r.measured)
		}
		if r.n == 0 {
			t.Errorf("%s: nothing was measured", r.what)
		}
		samplesOf[r.what] += len(r.times)
	}
	for what, want := range map[string]int{
		"change, from the config":                         4 * o.changes,
		"change, from the file's rename":                  4 * o.fileChanges,
		"change, Envoy alone: its table in a file":        o.fileChanges,
		"change, Envoy alone: a tree on :path in a file":  o.fileChanges,
		"change, Envoy alone: a list of routes in a file": o.fileChanges,
		"routes and backends added, from the config":      o.churn,
		"routes and backends removed, from the config":    o.churn,
		"routes and backends added, by the file":          3, // of at most 3 each
		"routes and backends removed, by the file":        3,
		"changes of all kinds, by the file":               o.edits,
		"plan.Compile, from nothing":                      o.compileRuns,
		"config.Parse of the same":                        o.compileRuns,
	} {
		if samplesOf[what] != want {
			t.Errorf("%s: %d samples, want %d", what, samplesOf[what], want)
		}
	}
	var out strings.Builder
	if err := got.write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Envoy 1.", "| lookup |", listRow, "slowest table against fastest, one host", "for one more Envoy"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in the report:\n%s", want, &out)
		}
	}
}

// TestTextIsTheConfig: what gatewright reads from the file is what the compiler
// in this process is given.
func TestTextIsTheConfig(t *testing.T) {
	t.Parallel()
	e, err := newEditor()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.close(); err != nil {
			t.Error(err)
		}
	})
	for range 3 * len(e.kinds()) {
		e.edit()
		parsed, err := config.Parse("gateway.yaml", e.text())
		if err != nil {
			t.Fatalf("after edit %d: %v", e.edits, err)
		}
		if want := e.config(); !reflect.DeepEqual(parsed, want) {
			t.Fatalf("after edit %d the file says another config than the one in memory:\n%s", e.edits, e.text())
		}
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	var hundred samples
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i))
	}
	for _, c := range []struct {
		of   samples
		q    float64
		want time.Duration
	}{
		{nil, 0.5, 0}, {samples{7}, 0.99, 7}, {samples{7}, 0, 7},
		{hundred, 0, 1}, {hundred, 0.5, 50}, {hundred, 0.99, 99}, {hundred, 1, 100},
	} {
		if got := c.of.quantile(c.q); got != c.want {
			t.Errorf("quantile %v of %d: %d, want %d", c.q, len(c.of), got, c.want)
		}
	}
}

func TestSizesAreFlags(t *testing.T) {
	t.Parallel()
	var s sizes
	if err := s.Set("10,10000/100"); err != nil || !reflect.DeepEqual(s, sizes{{routes: 10, hosts: 1}, {routes: 10_000, hosts: 100}}) {
		t.Errorf("%v, %v", s, err)
	}
	if got := fmt.Sprint(size{routes: 100_000, hosts: 1}, "; ", size{routes: 100_000, hosts: 1000}); got != "100 000 on one host; 100 000 over 1 000 hosts" {
		t.Error(got)
	}
	for _, bad := range []string{"", "0", "x", "10/0", "10/20", "10/", "10,,20", "-1"} {
		if err := s.Set(bad); err == nil {
			t.Errorf("%q is taken for sizes", bad)
		}
	}
	var c counts
	for _, bad := range []string{"", "0", "5,5", "10,1"} {
		if err := c.Set(bad); err == nil {
			t.Errorf("%q is taken for counts", bad)
		}
	}
}

func TestOptionsAreValidated(t *testing.T) {
	t.Parallel()
	if err := fullSize().validate(); err != nil {
		t.Error(err)
	}
	o := fullSize()
	o.rows, o.changes, o.lookupTime = "lookup,changes", 0, 0
	err := o.validate()
	for _, want := range []string{`no row "changes"`, "-changes: 0", "-lookup-time: 0s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}
