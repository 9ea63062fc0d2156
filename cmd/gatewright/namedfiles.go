package main

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/config"
)

// contentsPoll is how often the files are read whose content is a part of the
// config. A change is taken when two readings in a row are the same.
const contentsPoll = 500 * time.Millisecond

// namedFiles are those files: what each held when it was last good, and how it was
// when the config was last read.
type namedFiles struct {
	log   *slog.Logger
	stale prometheus.Gauge

	mu sync.Mutex // guards all below
	// kept is what is served, by path.
	kept map[string][]byte
	// faults are the files of which something else is served than what is in them,
	// and why.
	faults map[string]string
	// read are the files that the config read last names, whether it was good or not.
	read map[string]contentState
}

// contentState tells of a file whether it is as it was. most bounds how much of it
// is read.
type contentState struct {
	most int
	sum  [sha256.Size]byte
}

func newNamedFiles(log *slog.Logger, reg prometheus.Registerer) *namedFiles {
	c := &namedFiles{log: log, stale: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gatewright_config_stale_files",
		Help: "Files that the config names of which what was in them before is served, since what is in them now is not good.",
	})}
	reg.MustRegister(c.stale)
	return c
}

// beside is what a config is read beside, and notes which files it names.
func (c *namedFiles) beside(served func(path string) bool) config.Beside {
	read := map[string]contentState{}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = read
	kept := c.kept
	return config.Beside{
		Served: served,
		Kept:   func(path string) []byte { return kept[path] },
		Read: func(path string, most int) ([]byte, error) {
			data, err := config.ReadContent(path, most)
			c.mu.Lock()
			defer c.mu.Unlock()
			read[path] = contentState{most, sumOf(data, err)}
			return data, err
		},
	}
}

// keep has a config begin with what was served of its files by another process.
func (c *namedFiles) keep(files map[string][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = files
}

// serve notes that a config is served.
func (c *namedFiles) serve(next *config.Config) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.faults
	c.kept, c.faults = map[string][]byte{}, map[string]string{}
	for _, content := range next.Contents {
		c.kept[content.Path] = content.Data
		if content.Fault == nil {
			continue
		}
		fault := content.Fault.Error()
		c.faults[content.Path] = fault
		if before[content.Path] != fault {
			c.log.Error("what is in the file now is not served; what was before is", "file", content.Path, "error", fault)
		}
	}
	c.stale.Set(float64(len(c.faults)))
}

// served are the files of the config that is served, by path.
func (c *namedFiles) served() map[string][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.kept)
}

// follow calls changed when a file that the config read last names has changed and
// stays so, until the context ends. The content is compared, and not its times,
// which on some file systems stand still.
func (c *namedFiles) follow(ctx context.Context, changed func(context.Context)) error {
	tick := time.NewTicker(contentsPoll)
	defer tick.Stop()
	var seen map[string]contentState
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		c.mu.Lock()
		known := maps.Clone(c.read)
		c.mu.Unlock()
		now := make(map[string]contentState, len(known))
		for path, state := range known {
			data, err := config.ReadContent(path, state.most)
			now[path] = contentState{state.most, sumOf(data, err)}
		}
		if !maps.Equal(now, known) && maps.Equal(now, seen) {
			changed(ctx)
		}
		seen = now
	}
}

func sumOf(data []byte, err error) [sha256.Size]byte {
	if err != nil {
		return sha256.Sum256([]byte("fault: " + err.Error()))
	}
	return sha256.Sum256(data)
}
