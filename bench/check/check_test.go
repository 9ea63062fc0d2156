package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// TestMain is main's way into a child, of which this program is the parent.
func TestMain(m *testing.M) {
	if kind := os.Getenv(childVariable); kind != "" {
		rig.ExitOn(runChild(kind))
		return
	}
	os.Exit(m.Run())
}

// TestEverythingIsMeasured: every row is there, and every request passed. How
// fast it was is nothing for a test.
func TestEverythingIsMeasured(t *testing.T) {
	var progress bytes.Buffer
	got, err := measure(t.Context(), options{rounds: 2, time: 50 * time.Millisecond, streams: 8, tokens: 5, fresh: 200, many: 100}, &progress)
	if err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	for _, want := range []string{noopDefault, noopTuned, noopLoop, jwtSeen, keySeen, jwtFresh, "100 distinct tokens", "100 distinct keys", alone, besideStrangers, besideFlood} {
		if !strings.Contains(got, "| "+want+" |") {
			t.Errorf("no row %q in the report:\n%s", want, got)
		}
	}
}

func TestOptionsAreValidated(t *testing.T) {
	t.Parallel()
	if err := fullSize().validate(); err != nil {
		t.Error(err)
	}
	o := fullSize()
	o.rounds, o.time, o.fresh = 0, 0, 2*smallCache
	err := o.validate()
	for _, want := range []string{"-rounds", "-time", "-fresh"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}
