package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/internal/limitfiles"
	"github.com/gatewright/gatewright/ratelimit"
)

// limitFiles serve the folder of envoyproxy/ratelimit's configuration files, as it is now.
type limitFiles struct {
	folder  *limitfiles.Folder
	rules   *ratelimit.Rules
	reloads *reloads
	log     *slog.Logger
}

// limitFilesStatus is how the folder stands.
type limitFilesStatus struct {
	Folder string `json:"folder"`
	// Summary is how much of it is served.
	limitfiles.Summary
	// LastReload is what became of what was read last.
	LastReload reload `json:"lastReload"`
}

// openLimitFiles reads the folder for the first time; nil where none is set. A folder
// that cannot be read is an error. One with faults is served when they are mended: the
// rest of the gateway does not wait for it.
func openLimitFiles(s ratelimit.RuleSettings, log *slog.Logger, reg prometheus.Registerer) (*limitFiles, error) {
	if s.Folder == "" {
		return nil, nil
	}
	rules, err := ratelimit.NewRules(s, reg)
	if err != nil {
		return nil, fmt.Errorf("reading the environment: %w", err)
	}
	f := &limitFiles{
		folder: limitfiles.NewFolder(s.Folder, limitfiles.Options{MergeDomains: s.MergeDomains}),
		rules:  rules, log: log,
		reloads: newReloads(reg, "gatewright_ratelimit_config"),
	}
	table, err := f.folder.Read()
	if err != nil && !limitfiles.IsFaults(err) {
		return nil, fmt.Errorf("GATEWRIGHT_RATELIMIT_CONFIG_DIR: %w", err)
	}
	f.take(table, err)
	return f, nil
}

// follow serves every change of the folder until the context ends.
func (f *limitFiles) follow(ctx context.Context) error {
	err := f.folder.Follow(ctx, f.take)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// take serves a table, or tells why what was served before still is.
func (f *limitFiles) take(table *limitfiles.Table, err error) {
	if err == nil {
		err = f.rules.Set(table)
	}
	switch {
	case err == nil:
		f.reloads.done("applied", nil)
		f.log.Info("rate limit configuration is served", "folder", f.folder.Path(), "domains", table.Summary().Domains, "rules", table.Summary().Rules)
		return
	case limitfiles.IsFaults(err):
		f.reloads.done("invalid", err)
	default:
		f.reloads.done("unreadable", err)
	}
	f.log.Error("the rate limit configuration is not served; what was served before is", "folder", f.folder.Path())
	for _, fault := range faultTexts(err) {
		f.log.Error("rate limit configuration fault", "fault", fault)
	}
}

// status is how the folder stands; nil where there is none.
func (f *limitFiles) status() *limitFilesStatus {
	if f == nil {
		return nil
	}
	return &limitFilesStatus{Folder: f.folder.Path(), Summary: f.rules.Summary(), LastReload: *f.reloads.last.Load()}
}

func printLimitFiles(w io.Writer, s *limitFilesStatus) {
	if s == nil {
		return
	}
	fmt.Fprintf(w, "rate limits of %s: %s, %s\n", oneLine(s.Folder), count(s.Domains, "domain"), count(s.Rules, "rule"))
	fmt.Fprintf(w, "last change %s: %s\n", date(s.LastReload.At), s.LastReload.Result)
	for _, fault := range s.LastReload.Faults {
		fmt.Fprintf(w, "  %s\n", oneLine(fault))
	}
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
