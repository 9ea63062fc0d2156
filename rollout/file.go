package rollout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gatewright/gatewright/internal/wholefile"
)

// saveEvery is how often the file is written while nothing is decided.
const saveEvery = 5 * time.Second

// file keeps records on local disk: without Redis they are all that outlives the
// process, and with it they are what is known when Redis has lost its own. Who has
// the turn uses it.
type file struct {
	path    string // empty: there is none
	savedAt time.Time
	// decisions are the newest ones of what was saved, by route.
	decisions map[string]Event
	failing   bool
}

func newFile(path string) *file { return &file{path: path, decisions: map[string]Event{}} }

// read returns what was saved; nothing, where there was no file.
func (f *file) read() (map[string]record, error) {
	if f.path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading where rollouts are: %w", err)
	}
	var records map[string]record
	if err := json.Unmarshal(data, &records); err != nil {
		return nil, fmt.Errorf("reading where rollouts are: %s is damaged: %w", f.path, err)
	}
	for route, r := range records {
		// What cannot be stepped on is as if it were not there.
		if s := r.State; r.Generation < 1 || s.Spec.Route != route || s.Step < 0 || s.Step >= len(s.Spec.Steps) || s.Phase == "" {
			delete(records, route)
			continue
		}
		f.decisions[route] = r.State.last()
	}
	return records, nil
}

// due tells whether there is something to save.
func (f *file) due(records map[string]record, now time.Time) bool {
	if f.path == "" || len(records) == 0 && len(f.decisions) == 0 {
		return false
	}
	if len(records) != len(f.decisions) || now.Sub(f.savedAt) >= saveEvery || now.Before(f.savedAt) {
		return true
	}
	for route, r := range records {
		if f.decisions[route] != r.State.last() {
			return true
		}
	}
	return false
}

// write saves records.
func (f *file) write(records map[string]record, now time.Time) error {
	f.savedAt = now
	f.decisions = map[string]Event{}
	for route, r := range records {
		f.decisions[route] = r.State.last()
	}
	data, err := json.Marshal(records)
	if err != nil {
		return fmt.Errorf("writing where rollouts are: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return fmt.Errorf("writing where rollouts are: %w", err)
	}
	if err := wholefile.Write(f.path, data); err != nil {
		return fmt.Errorf("writing where rollouts are: %w", err)
	}
	return nil
}

// save keeps what is known, where it is time or there are new decisions. That it
// cannot be written hurts only after a restart: it is told, and changes nothing.
func (c *Controller) save(now bool) {
	c.mu.Lock()
	records := make(map[string]record, len(c.known))
	for route, r := range c.known {
		if apart, ok := c.apart[route]; ok {
			r.State = apart
		}
		records[route] = r
	}
	c.mu.Unlock()
	if at := c.clock(); now && c.file.path != "" && len(records) > 0 || c.file.due(records, at) {
		err := c.file.write(records, at)
		if err != nil && !c.file.failing {
			c.log.Warn("a restart would not find where rollouts are (GATEWRIGHT_STATE_DIR)", "error", err)
		}
		c.file.failing = err != nil
	}
}
