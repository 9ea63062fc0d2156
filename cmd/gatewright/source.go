package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/store"
)

func isURL(location string) bool { return strings.Contains(location, "://") }

// parseAt reads a config that is kept at a location. Paths in a file are
// relative to it, those in a store to where the process runs.
func parseAt(location string, data []byte) (*config.Config, error) {
	return parseNamed(location, location, data)
}

// parseNamed reads a config that will be kept at a location; name stands in
// its faults.
func parseNamed(location, name string, data []byte) (*config.Config, error) {
	return config.ParseIn(folderOf(location), name, data)
}

func folderOf(location string) string {
	if isURL(location) {
		return "."
	}
	return filepath.Dir(location)
}

// loadFirst applies the config that the process starts with. If that cannot be
// read, or has faults, the one that was served last from the same place is
// served until it can; without one there is nothing to serve.
func (svc *service) loadFirst(ctx context.Context) error {
	location := svc.settings.process.Config
	snapshot, err := svc.store.Read(ctx)
	if err == nil {
		svc.known = &snapshot
		svc.newest = &snapshot
		var c *config.Config
		if c, err = svc.parse(snapshot.Data); err == nil {
			return svc.apply(ctx, c, change{data: snapshot.Data, version: snapshot.Version, force: true})
		}
	}
	last, lastErr := svc.lastGood.load()
	if lastErr != nil {
		return err // nothing was ever served from here
	}
	svc.files.keep(last.Files)
	if svc.newest == nil {
		svc.newest = &store.Snapshot{Data: last.Data}
	}
	c, parseErr := svc.parse(last.Data)
	if parseErr != nil {
		return errors.Join(err, fmt.Errorf("the last good config, of %s, is not valid any more: %w", last.SavedAt.Format(time.RFC3339), parseErr))
	}
	if err := svc.apply(ctx, c, change{force: true}); err != nil {
		return err
	}
	svc.log.Error("serving the last good config: what is at its location cannot be", "location", location, "saved_at", last.SavedAt.Format(time.RFC3339))
	svc.logFaults(err)
	svc.reloads.done("stale", err)
	return nil
}

// follow applies every change of the config until the context ends.
func (svc *service) follow(ctx context.Context) error {
	err := svc.store.Watch(ctx, svc.known, func(s store.Snapshot) {
		svc.reloading.Lock()
		defer svc.reloading.Unlock()
		svc.newest = &s
		svc.reload(ctx, s)
	}, svc.readable)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// readable notes that the config cannot be read, or with nil that it can again:
// what it was then, it is, until something else is delivered.
func (svc *service) readable(err error) {
	if err == nil {
		svc.reloads.restore(svc.beforeOutage)
		return
	}
	svc.beforeOutage = svc.reloads.last.Load()
	if before := svc.beforeOutage; before == nil || before.Result != "stale" {
		svc.reloads.done("unreadable", err)
	}
	svc.log.Error("the config cannot be read; what was read last stays", "error", err)
}

// unchanged notes that the newest config is the one that is served, as far as
// Envoys take it.
func (svc *service) unchanged() {
	if len(svc.setAside) > 0 {
		svc.reloads.done("refused", svc.setAside)
	} else {
		svc.reloads.done("unchanged", nil)
	}
}

// parse reads a config beside what is served.
func (svc *service) parse(data []byte) (*config.Config, error) {
	location := svc.settings.process.Config
	return config.ParseBeside(folderOf(location), location, data, svc.files.beside(svc.certs.Serves))
}

// reread applies the newest config once more: a file whose content is a part of it
// has changed.
func (svc *service) reread(ctx context.Context) {
	svc.reloading.Lock()
	defer svc.reloading.Unlock()
	if svc.newest != nil {
		svc.reload(ctx, *svc.newest)
	}
}

// reload applies a config, or tells why it does not.
func (svc *service) reload(ctx context.Context, s store.Snapshot) {
	c, err := svc.parse(s.Data)
	if err != nil {
		svc.reloads.done("invalid", err)
		svc.logFaults(err)
		return
	}
	force := s.Version != nil && s.Version.Force
	if err := svc.apply(ctx, c, change{data: s.Data, version: s.Version, force: force}); err != nil && ctx.Err() == nil {
		svc.log.Error("the new config is not served; the one before it is", "error", err)
	}
}

// change is a config on its way to be served.
type change struct {
	// data is what it was read from. Nil: it is not to be kept as the last good one.
	data []byte
	// version is its entry in the history. Nil: it has none.
	version *store.Version
	// force waives the guard against dropping most routes.
	force bool
}

// keep remembers a config that is served. That it cannot be written hurts only
// a start without the store: it is told, and changes nothing.
func (svc *service) keep(ch change) {
	svc.version.Store(ch.version)
	if ch.data == nil {
		return
	}
	err := svc.lastGood.save(goodConfig{Location: svc.settings.process.Config, SavedAt: time.Now().UTC(), Data: ch.data, Files: svc.files.served()})
	if err != nil {
		svc.log.Warn("a start without the config store would not find this config (GATEWRIGHT_STATE_DIR)", "error", err)
	}
}

// dropRule is what a change breaks that takes most routes away, or "". That is
// what a file looks like that was cut off, or the wrong one. A route that has
// only been renamed is not gone.
func dropRule(before, next *config.Config) string {
	gone := config.RoutesGone(before, next)
	if 2*len(gone) <= len(before.Routes) {
		return ""
	}
	shown := gone
	if len(shown) > 5 {
		shown = append(shown[:5:5], "…")
	}
	return fmt.Sprintf("it would drop %d of %s (%s)", len(gone), count(len(before.Routes), "route"), strings.Join(shown, ", "))
}
