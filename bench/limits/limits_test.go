package main

import (
	"bytes"
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
	"github.com/gatewright/gatewright/internal/testenv"
)

// TestEverythingIsMeasured: every row is there, and every request was admitted. How
// fast it was is nothing for a test.
func TestEverythingIsMeasured(t *testing.T) {
	testenv.StartRedis(t).Kill() // there is a redis-server, or the test is skipped
	var progress bytes.Buffer
	got, err := measure(t.Context(), options{rounds: 2, time: 50 * time.Millisecond, streams: 8, users: 20, fleet: 3 * time.Second, many: 20_000}, &progress)
	if err != nil {
		t.Fatalf("%v\n%s", err, &progress)
	}
	for _, want := range []string{"gatewright, exact | 1", "gatewright, exact | 3", "gatewright, in memory | 1", "gatewright, with the rival's config | 3", "Check: a JWT seen before and one exact limit | 1"} {
		if !strings.Contains(got, "| "+want+" |") {
			t.Errorf("no row %q in the report:\n%s", want, got)
		}
	}
	// Without a rival, what has a goal is no matter of how fast the machine is.
	if strings.Contains(got, rig.Yes(false)) || strings.Count(got, "| yes |") != len(consistencies)+2 {
		t.Errorf("the bounds of a fleet, or of memory, do not hold:\n%s", got)
	}
}

func TestOptionsAreValidated(t *testing.T) {
	t.Parallel()
	if err := fullSize().validate(); err != nil {
		t.Error(err)
	}
	o := options{rounds: -1, rivals: rig.Rivals{{With: []rig.PID{17}}}}
	err := o.validate()
	for _, want := range []string{"-rounds", "-time", "-streams", "-users", "-redis", "one process"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
}

func TestRivalFlag(t *testing.T) {
	t.Parallel()
	var o options
	flags := flag.NewFlagSet("limits", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	o.register(flags)
	if err := flags.Parse([]string{"-rival", "as it comes=127.0.0.1:8081/17"}); err != nil {
		t.Fatal(err)
	}
	if got := o.rivals[0]; got.Name != "as it comes" || got.Addr != "127.0.0.1:8081" || got.PID != 17 {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"", "127.0.0.1:8081/17", "a=127.0.0.1:8081", "a=/17", "a=b/0"} {
		if err := flags.Parse([]string{"-rival", bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestGoalsAreJudgedBesideEveryRival: the worst counts.
func TestGoalsAreJudgedBesideEveryRival(t *testing.T) {
	t.Parallel()
	of := func(k kind, reqs, cpu, commands float64) *row {
		return &row{of: k, descriptors: 1, rounds: []round{{perSecond: reqs, cpu: cpu, commands: commands}}}
	}
	slow, fast := of(kindRival, 10, 90, 2), of(kindRival, 20, 90, 2)
	for _, c := range []struct {
		row    *row
		rivals []*row
		want   string
	}{
		{of("exact", 30, 30, 4), []*row{slow}, "yes; yes"},
		{of("exact", 30, 30, 4), []*row{slow, fast}, "**no**; yes"},
		{of("exact", 29, 31, 4), []*row{slow}, "**no**; **no**"},
		{of("lease", 50, 90, .2), []*row{slow}, "yes; yes"},
		{of("lease", 49, 1, .3), []*row{slow}, "**no**; **no**"},
		{of(kindMemory, 1, 1, 0), []*row{slow}, "–"},
	} {
		if _, _, met := judged(c.row, c.rivals); met != c.want {
			t.Errorf("%s: met %q, want %q", c.row.of, met, c.want)
		}
	}
}
