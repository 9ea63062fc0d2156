package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/internal/limitfiles"
	"github.com/gatewright/gatewright/internal/limitxds"
	"github.com/gatewright/gatewright/ratelimit"
)

// limitFiles serve the rate limit configuration of envoyproxy/ratelimit, as it is now: of a
// folder of its files, or of an xDS server that has the same for it.
type limitFiles struct {
	folder  *limitfiles.Folder // nil: there is a server
	server  *limitxds.Client   // nil: there is a folder
	rules   *ratelimit.Rules
	reloads *reloads
	log     *slog.Logger
}

// limitFilesStatus is how the folder or the server stands.
type limitFilesStatus struct {
	Folder string           `json:"folder,omitempty"`
	Server *limitxds.Status `json:"server,omitempty"`
	// Summary is how much of it is served.
	limitfiles.Summary
	// LastReload is what became of what was read last.
	LastReload reload `json:"lastReload"`
}

// openLimitFiles opens the folder or the server; nil where neither is set.
func openLimitFiles(s *settings, log *slog.Logger, reg prometheus.Registerer) (*limitFiles, error) {
	folder, server := s.rules.Folder, s.limitXDS.Server
	switch {
	case folder == "" && server == "":
		return nil, nil
	case folder != "" && server != "":
		return nil, errors.New("reading the environment: GATEWRIGHT_RATELIMIT_CONFIG_DIR and GATEWRIGHT_RATELIMIT_CONFIG_GRPC_XDS_SERVER_URL: set one of them")
	}
	rules, err := ratelimit.NewRules(s.rules, reg)
	if err != nil {
		return nil, fmt.Errorf("reading the environment: %w", err)
	}
	f := &limitFiles{rules: rules, log: log, reloads: newReloads(reg, "gatewright_ratelimit_config")}
	read := limitfiles.Options{MergeDomains: s.rules.MergeDomains}
	if folder != "" {
		return f, f.openFolder(limitfiles.NewFolder(folder, read))
	}
	return f, f.openServer(limitxds.Options{
		Settings: s.limitXDS, Read: read, Kept: filepath.Join(s.process.StateDir, "ratelimit-xds"), Log: log, Registerer: reg,
	})
}

// openFolder reads the folder for the first time. One that cannot be read is an error. One
// with faults is served when they are mended: the rest of the gateway does not wait for it.
func (f *limitFiles) openFolder(folder *limitfiles.Folder) error {
	f.folder = folder
	table, err := folder.Read()
	if err != nil && !limitfiles.IsFaults(err) {
		return fmt.Errorf("GATEWRIGHT_RATELIMIT_CONFIG_DIR: %w", err)
	}
	_ = f.take(table, err) // it is told there
	return nil
}

// openServer serves what the server has sent to an earlier run, and waits for no more.
func (f *limitFiles) openServer(o limitxds.Options) (err error) {
	f.reloads.wait()
	if f.server, err = limitxds.New(o); err != nil {
		return fmt.Errorf("reading the environment: %w", err)
	}
	if err := f.server.Restore(f.take); err != nil {
		f.log.Warn("rate limits wait for their server", "server", o.Server, "error", err)
	}
	return nil
}

// follow serves every change until the context ends.
func (f *limitFiles) follow(ctx context.Context) (err error) {
	if f.server != nil {
		err = f.server.Follow(ctx, f.take)
	} else {
		err = f.folder.Follow(ctx, func(table *limitfiles.Table, err error) { _ = f.take(table, err) })
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// take serves a table, or tells and returns why what was served before still is.
func (f *limitFiles) take(table *limitfiles.Table, err error) error {
	if err == nil {
		err = f.rules.Set(table)
	}
	switch {
	case err == nil:
		f.reloads.done("applied", nil)
		f.log.Info("rate limit configuration is served", "of", f.name(), "domains", table.Summary().Domains, "rules", table.Summary().Rules)
		return nil
	case limitfiles.IsFaults(err) || f.server != nil:
		f.reloads.done("invalid", err)
	default:
		f.reloads.done("unreadable", err)
	}
	f.log.Error("the rate limit configuration is not served; what was served before is", "of", f.name())
	for _, fault := range faultTexts(err) {
		f.log.Error("rate limit configuration fault", "fault", fault)
	}
	return err
}

// name is where it comes from.
func (f *limitFiles) name() string {
	if f.folder != nil {
		return f.folder.Path()
	}
	return f.server.Status().Server
}

// status is how the folder or the server stands; nil where there is none.
func (f *limitFiles) status() *limitFilesStatus {
	if f == nil {
		return nil
	}
	s := &limitFilesStatus{Summary: f.rules.Summary(), LastReload: *f.reloads.last.Load()}
	if f.server != nil {
		server := f.server.Status()
		s.Server = &server
	} else {
		s.Folder = f.folder.Path()
	}
	return s
}

// wellKept reports whether what there is now is what is served, as far as is known.
func (s *limitFilesStatus) wellKept() bool {
	return s == nil || len(s.LastReload.Faults) == 0 && (s.Server == nil || s.Server.Fault == "")
}

func printLimitFiles(w io.Writer, s *limitFilesStatus) {
	if s == nil {
		return
	}
	from := s.Folder
	if s.Server != nil {
		from = s.Server.Server + " for the node " + s.Server.NodeID
	}
	fmt.Fprintf(w, "rate limits of %s: %s, %s\n", oneLine(from), count(s.Domains, "domain"), count(s.Rules, "rule"))
	if s.Server != nil {
		fmt.Fprintf(w, "%s\n", oneLine(limitServerState(*s.Server)))
	}
	fmt.Fprintf(w, "last change %s: %s\n", date(s.LastReload.At), s.LastReload.Result)
	for _, fault := range s.LastReload.Faults {
		fmt.Fprintf(w, "  %s\n", oneLine(fault))
	}
}

// limitServerState is how the server of rate limits stands, and what it has sent.
func limitServerState(s limitxds.Status) string {
	state := "connected since " + date(s.Since)
	if !s.Connected {
		state = "not connected since " + date(s.Since) + " (" + s.Fault + ")"
	}
	switch {
	case s.RestoredFrom != nil:
		return state + ", served from an earlier run, of " + date(*s.RestoredFrom)
	case s.AcceptedAt == nil:
		return state + ", nothing accepted yet"
	}
	return state + fmt.Sprintf(", version %q accepted %s", s.Version, date(*s.AcceptedAt))
}

// checkLimitFiles is `gatewright check --ratelimit`.
func checkLimitFiles(w io.Writer, folder, output string) error {
	s, err := loadSettings()
	if err != nil {
		return err
	}
	table, err := limitfiles.Read(folder, limitfiles.Options{MergeDomains: s.rules.MergeDomains})
	if output == "json" {
		return errors.Join(err, printFaults(w, "", err))
	}
	if err != nil {
		return err
	}
	summary := table.Summary()
	fmt.Fprintf(w, "%s: ok, %s, %s, %s\n", folder, count(summary.Files, "file"), count(summary.Domains, "domain"), count(summary.Rules, "rule"))
	return nil
}
