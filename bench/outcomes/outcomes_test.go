package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// TestEverythingIsMeasured: every row is there, and every outcome that was sent was
// counted. How much it costs is nothing for a test.
func TestEverythingIsMeasured(t *testing.T) {
	var progress bytes.Buffer
	got, err := measure(t.Context(), options{rounds: 2, time: 200 * time.Millisecond}, &progress)
	if err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	for _, r := range rows() {
		if !strings.Contains(got, "| "+r.what+" |") {
			t.Errorf("no row %q in the report:\n%s", r.what, got)
		}
	}
}

// TestMessagesAreOfRealSize: they are what Envoy's buffer of 64 KiB holds.
func TestMessagesAreOfRealSize(t *testing.T) {
	t.Parallel()
	all, err := messages(entriesPerMessage, judged)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if len(m) < 60<<10 || len(m) > 72<<10 {
			t.Fatalf("a message of %d bytes", len(m))
		}
	}
}

func TestOptionsAreValidated(t *testing.T) {
	t.Parallel()
	if err := fullSize().validate(); err != nil {
		t.Error(err)
	}
	err := options{rows: "("}.validate()
	for _, want := range []string{"-rounds", "-time", "-rows"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestGoal(t *testing.T) {
	t.Parallel()
	for cpu, want := range map[float64]string{5: rig.Yes(true), 5.1: rig.Yes(false)} {
		if got := table([]*row{{rounds: []round{{cpu: cpu}}}}); !strings.Contains(got, "| "+want+" |") {
			t.Errorf("%v µs: %s", cpu, got)
		}
	}
}
