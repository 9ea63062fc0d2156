package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/dustin/go-humanize"

	"github.com/gatewright/gatewright/envoy"
)

// The words of GATEWRIGHT_ENVOY_MAX_HEAP beside a size.
const (
	heapAuto = "auto"
	heapNone = "none"
)

// envoyShare is the share of a memory limit that the heap of an Envoy has which runs
// beside us in it. The rest is for what is no heap of Envoy's, and for Gatewright,
// whose own grows to some 128 MiB before it is collected.
const envoyShare = 0.6

// leastHeap is less than an Envoy has that serves nothing: with it, it would turn
// everybody away.
const leastHeap = 32 << 20

// overload is what the Envoy bears that is started here.
func (e envoySettings) overload(log *slog.Logger) (envoy.Overload, error) {
	if e.MaxConnections < 1 {
		return envoy.Overload{}, fmt.Errorf("GATEWRIGHT_ENVOY_MAX_CONNECTIONS=%d: must be at least 1", e.MaxConnections)
	}
	heap, err := maxHeap(e.MaxHeap, memlimit.FromCgroup)
	if err != nil {
		return envoy.Overload{}, fmt.Errorf("GATEWRIGHT_ENVOY_MAX_HEAP=%s: %w", e.MaxHeap, err)
	}
	if heap > 0 {
		log.Info("envoy turns requests away before its heap has this size", "bytes", heap)
	}
	return envoy.Overload{MaxConnections: e.MaxConnections, MaxHeap: heap}, nil
}

// maxHeap is a size that is said, or by "auto" what a memory limit leaves; 0 is none.
func maxHeap(setting string, limit func() (uint64, error)) (uint64, error) {
	switch setting {
	case heapNone:
		return 0, nil
	case heapAuto:
		bytes, err := limit()
		// Without control groups, or without a limit in them, there is none.
		if err != nil || bytes == 0 {
			return 0, nil
		}
		return max(uint64(float64(bytes)*envoyShare), leastHeap), nil
	}
	bytes, err := humanize.ParseBytes(setting)
	switch {
	case err != nil:
		return 0, errors.New("must be a size as 512MiB, auto or none")
	case bytes < leastHeap:
		return 0, fmt.Errorf("must be at least %s: an Envoy that serves nothing has most of that", humanize.IBytes(leastHeap))
	}
	return bytes, nil
}
