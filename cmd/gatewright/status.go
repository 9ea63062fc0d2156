package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/breakerpolicy"
	"github.com/gatewright/gatewright/console"
	"github.com/gatewright/gatewright/internal/certs"
	"github.com/gatewright/gatewright/internal/discovery"
	"github.com/gatewright/gatewright/internal/plan"
	"github.com/gatewright/gatewright/ratelimit"
	"github.com/gatewright/gatewright/rollout"
	"github.com/gatewright/gatewright/store"
	"github.com/gatewright/gatewright/xds"
)

// statusReport is what GET /api/v1/status answers.
type statusReport struct {
	// Config is what is served.
	Config struct {
		Version  string `json:"version"`
		Routes   int    `json:"routes"`
		Backends int    `json:"backends"`
		// Location is where it comes from.
		Location string `json:"location"`
		// History is its entry there. Nil: other hands than Gatewright's wrote it.
		History *store.Version `json:"history,omitempty"`
	} `json:"config"`
	// LastReload is what became of the newest config that was read.
	LastReload reload `json:"lastReload"`
	// Envoys are those that are connected.
	Envoys []xds.EnvoyStatus `json:"envoys"`
	// Placement is where policies run, by listener.
	Placement []plan.Placement `json:"placement"`
	// AskedNow is why requests are asked about at the moment that policies inside Envoy
	// would let pass otherwise: a breaker that is open, keys that are not known.
	AskedNow []plan.PlacementReason `json:"askedNow"`
	// KeySets are those of the issuers, by which tokens are judged.
	KeySets []authz.KeySetStatus `json:"keySets"`
	// Certificates are those of listeners and those that are shown to backends, and the
	// authorities for those of clients and backends.
	Certificates []certs.Status `json:"certificates"`
	// Discovery is how the backends stand whose endpoints are discovered.
	Discovery []discovery.Status `json:"discovery"`
	// RateLimitFiles is how the folder of rate limit configuration stands, or the server
	// that sends it. Nil: neither is set.
	RateLimitFiles *limitFilesStatus `json:"rateLimitFiles,omitempty"`
	// Rollouts are where the rollouts are, and so the weights of their routes.
	Rollouts []rollout.Status `json:"rollouts"`
	// Shadow is what requirements in shadow have made of requests, by route, since
	// the process started.
	Shadow []authz.ShadowStatus `json:"shadow"`
	// LimitsInShadow is the same of limits in shadow.
	LimitsInShadow []ratelimit.ShadowStatus `json:"limitsInShadow"`
	// Breakers is how each breaker stands.
	Breakers []breakerpolicy.Status `json:"breakers"`
}

// wellKept reports whether what was read last is what every Envoy runs.
func (r statusReport) wellKept() bool {
	for _, e := range r.Envoys {
		if !e.UpToDate {
			return false
		}
	}
	for _, c := range r.Certificates {
		if c.Fault != "" {
			return false
		}
	}
	for _, d := range r.Discovery {
		if d.Fault != "" {
			return false
		}
	}
	return r.RateLimitFiles.wellKept() && len(r.LastReload.Faults) == 0
}

func (svc *service) status() any {
	var r statusReport
	if p := svc.plan.Load(); p != nil {
		r.Config.Version = p.Version
		r.Config.Routes, r.Config.Backends = len(p.Config.Routes), len(p.Config.Backends)
		r.Placement = p.Placements()
		if p.RunsInEnvoy() {
			r.AskedNow = p.AskedNow(svc.placedState(p))
		}
	}
	r.Config.Location, r.Config.History = svc.settings.process.Config, svc.version.Load()
	if last := svc.reloads.last.Load(); last != nil {
		r.LastReload = *last
	}
	r.Envoys = svc.xds.Envoys()
	r.KeySets = svc.keySets.Status(time.Now())
	r.Certificates = svc.certs.Status()
	r.Discovery = svc.discovered.Status()
	r.RateLimitFiles = svc.limitFiles.status()
	r.Rollouts = svc.rollouts.Status()
	r.Shadow = svc.judge.ShadowStatus()
	r.LimitsInShadow = svc.limiter.ShadowStatus()
	r.Breakers = svc.breakers.List()
	return r
}

func newStatus() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "What a running gateway serves, what became of the last change, and how each Envoy stands",
		Long: `What a running gateway serves, what became of the last change, and how each Envoy
stands; with Envoy's own words where it refused something. It asks the admin port
(GATEWRIGHT_ADMIN_ADDR, GATEWRIGHT_ADMIN_TOKEN).

Exit code 0: the newest config is what every Envoy runs. 1: it is not.`,
		Example: `  gatewright status
  gatewright status -o json | jq .envoys`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSettings()
			if err != nil {
				return err
			}
			r, err := askStatus(cmd.Context(), s.console)
			if err != nil {
				return err
			}
			if output == "json" {
				err = printJSON(cmd.OutOrStdout(), r)
			} else {
				err = printStatus(cmd.OutOrStdout(), r)
			}
			if err == nil && !r.wellKept() {
				err = errors.New("the newest config, or a certificate, endpoints or rate limits beside it, is not what is run")
			}
			return err
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func askStatus(ctx context.Context, s console.Settings) (statusReport, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var r statusReport
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addr+"/api/v1/status", nil)
	if err != nil {
		return r, fmt.Errorf("asking for the status (GATEWRIGHT_ADMIN_ADDR=%s): %w", s.Addr, err)
	}
	if s.Token != "" {
		req.Header.Set("Authorization", "Bearer "+s.Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return r, fmt.Errorf("asking for the status (GATEWRIGHT_ADMIN_ADDR=%s): %w", s.Addr, plain(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // as much as there is
		return r, fmt.Errorf("asking for the status (GATEWRIGHT_ADMIN_ADDR=%s): %s: %s", s.Addr, resp.Status, said)
	}
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		return r, fmt.Errorf("reading the status: %w", err)
	}
	return r, nil
}

func printStatus(w io.Writer, r statusReport) error {
	fmt.Fprintf(w, "config %s: %s, %s\n", r.Config.Version, count(r.Config.Routes, "route"), count(r.Config.Backends, "backend"))
	fmt.Fprintf(w, "from %s, %s\n", r.Config.Location, historyEntry(r.Config.History))
	fmt.Fprintf(w, "last change %s: %s\n", date(r.LastReload.At), r.LastReload.Result)
	for _, f := range r.LastReload.Faults {
		fmt.Fprintf(w, "  %s\n", f)
	}
	printLimitFiles(w, r.RateLimitFiles)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ENVOY\tVERSION\tCONNECTED\tSTATE")
	for _, e := range r.Envoys {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", e.Node, e.Version, date(e.ConnectedAt), envoyState(e))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := printPlacement(w, r.Placement, r.AskedNow); err != nil {
		return err
	}
	if len(r.KeySets) > 0 {
		fmt.Fprintln(table, "ISSUERS\tKEYS\tSTATE")
		for _, k := range r.KeySets {
			fmt.Fprintf(table, "%s\t%d\t%s\n", strings.Join(k.Providers, ", "), k.Keys, keySetState(k))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if err := printCertificates(w, r.Certificates); err != nil {
		return err
	}
	if err := printDiscovery(w, r.Discovery); err != nil {
		return err
	}
	if len(r.Rollouts) > 0 {
		if err := printRollouts(w, r.Rollouts); err != nil {
			return err
		}
	}
	if err := printShadow(w, r.Shadow); err != nil {
		return err
	}
	if err := printLimitsInShadow(w, r.LimitsInShadow); err != nil {
		return err
	}
	return printUnusualBreakers(w, r.Breakers)
}

// printUnusualBreakers shows the breakers that are not closed by themselves.
func printUnusualBreakers(w io.Writer, all []breakerpolicy.Status) error {
	usual := func(s breakerpolicy.Status) bool {
		return s.State == breakerpolicy.StateClosed && s.Forced == breakerpolicy.Auto && s.PassingPercent == 0
	}
	all = slices.DeleteFunc(slices.Clone(all), usual)
	if len(all) == 0 {
		return nil
	}
	return printBreakers(w, all)
}

func printLimitsInShadow(w io.Writer, all []ratelimit.ShadowStatus) error {
	if len(all) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "LIMIT IN SHADOW\tCHARGED\tWOULD DENY")
	for _, l := range all {
		fmt.Fprintf(table, "%s\t%d\t%d\n", l.Limit, l.Charged, l.WouldDeny)
	}
	return table.Flush()
}

// keySetState is how an issuer's keys stand, and since when.
func keySetState(k authz.KeySetStatus) string {
	state := "in use"
	switch {
	case k.Keys == 0:
		state = "none yet: its tokens get a 503"
	case k.Stale:
		state = "too old: its tokens get a 503"
	case k.Restored:
		state = "in use, from an earlier run"
	}
	if k.ConfirmedAt != nil {
		state += ", confirmed " + date(*k.ConfirmedAt)
	}
	return state + " (" + k.Source + ")"
}

// historyEntry is who wrote what is served, when and why.
func historyEntry(v *store.Version) string {
	if v == nil {
		return "written by other hands than gatewright apply"
	}
	out := fmt.Sprintf("version %d of %s by %s", v.Number, date(v.When), oneLine(v.Who))
	if v.Why != "" {
		out += ": " + oneLine(v.Why)
	}
	return out
}

func envoyState(e xds.EnvoyStatus) string {
	state := "up to date"
	if !e.UpToDate {
		state = "behind"
	}
	if e.Refused != nil {
		state += fmt.Sprintf("; refused %s at %s: %s", e.Refused.Type, date(e.Refused.At), e.Refused.Message)
	}
	return state
}
