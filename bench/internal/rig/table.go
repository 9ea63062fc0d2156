package rig

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Median is the middle one, the lower of two. There is at least one.
func Median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[(len(sorted)-1)/2]
}

// Ratio is the median of the ratios within the rounds, of which a and b have the
// same: a machine is not as fast in one moment as in the next.
func Ratio(a, b []float64) float64 {
	all := make([]float64, len(a))
	for i := range a {
		all[i] = a[i] / b[i]
	}
	return Median(all)
}

// Quantile is the smallest that a share of all does not exceed.
func Quantile(all []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)].Round(10 * time.Microsecond)
}

// Yes says whether a goal is met.
func Yes(met bool) string {
	if met {
		return "yes"
	}
	return "**no**"
}

// Machine is what was measured, and on what.
func Machine(ctx context.Context) string {
	commit, err := exec.CommandContext(ctx, "git", "describe", "--tags", "--always", "--dirty").Output()
	if err != nil {
		commit = []byte("unknown")
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		load = []byte("unknown")
	}
	return fmt.Sprintf("%s · %d cores, load average %s at the end (all of this included) · %s, gatewright %s",
		time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.NumCPU(), strings.Fields(string(load))[0], runtime.Version(), strings.TrimSpace(string(commit)))
}
