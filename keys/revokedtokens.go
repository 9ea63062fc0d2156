package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/internal/wholefile"
)

// forgetEvery is the time between looks for revocations that are over.
const forgetEvery = time.Minute

// revocationSource is what RevokedTokens follow: a Store.
type revocationSource interface {
	revocationsState(ctx context.Context) (revocationsState, error)
	revocationsAfter(ctx context.Context, number int64) ([]Revocation, error)
}

// RevokedTokens tell which tokens have been revoked, while Run keeps them current:
// a revocation made by any process counts here within 250 ms and the time of one
// read of the database.
//
// While the database does not answer, the revocations that are known stay in
// force, and no new one is seen: tokens are verified without any database, and
// refusing all of them would be a worse fault. For a start without the database,
// what is known is kept in a file.
type RevokedTokens struct {
	source revocationSource
	file   string
	now    func() time.Time
	log    *slog.Logger

	known revoked
	// read: known is what was in force at some time, by the database or the file.
	read   atomic.Bool
	synced atomic.Int64 // when the database was last read, Unix nanoseconds

	// Only Start and Run touch the rest.
	state  *revocationsState // what known is of; nil before the first read
	failed bool
}

// NewRevokedTokens follows the revocations of a Store. file is where they are
// kept for a start without it; empty is nowhere. Its metrics are registered with
// r, which may be nil.
func NewRevokedTokens(s *Store, file string, log *slog.Logger, r prometheus.Registerer) (*RevokedTokens, error) {
	t := newRevokedTokens(s, file, time.Now, log)
	if r == nil {
		return t, nil
	}
	for _, gauge := range []prometheus.GaugeFunc{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatewright_token_revocations",
			Help: "Revocations of tokens that are in force.",
		}, func() float64 { return float64(t.known.len()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatewright_token_revocations_read_timestamp_seconds",
			Help: "When the revocations of tokens were last read from the database; 0 is never.",
		}, func() float64 { return float64(t.synced.Load()) / 1e9 }),
	} {
		if err := r.Register(gauge); err != nil {
			return nil, fmt.Errorf("registering the metrics of revocations: %w", err)
		}
	}
	return t, nil
}

func newRevokedTokens(source revocationSource, file string, now func() time.Time, log *slog.Logger) *RevokedTokens {
	return &RevokedTokens{source: source, file: file, now: now, log: log}
}

// Known tells whether the revocations have been read, from the database or from
// the file. Once they have been, they stay known.
func (t *RevokedTokens) Known() bool { return t.read.Load() }

// None tells that no revocation is in force, so that no token needs to be asked
// about.
func (t *RevokedTokens) None() bool { return t.known.len() == 0 }

// InForce are the revocations, in the order in which they were made.
func (t *RevokedTokens) InForce() []Revocation { return t.known.all() }

// Changes counts how often the revocations in force have become others.
func (t *RevokedTokens) Changes() int64 { return t.known.changes.Load() }

// Revoked tells whether a token has been revoked.
func (t *RevokedTokens) Revoked(token Token) bool { return t.known.covers(token) }

// Start reads the revocations, before the first token is judged: from the
// database, or where that does not answer, from the file.
func (t *RevokedTokens) Start(ctx context.Context) {
	t.sync(ctx)
	if t.state != nil {
		return
	}
	kept, err := t.kept()
	if err != nil {
		t.log.ErrorContext(ctx, "the revocations of tokens are not known: the key database does not answer, and there is no copy of them; until it does revoked tokens pass, or none with GATEWRIGHT_REVOCATIONS_REQUIRED", "error", err)
		return
	}
	t.known.replace(kept)
	t.read.Store(true)
	t.log.WarnContext(ctx, "the revocations of tokens are those of the last run, until the key database answers", "revocations", len(kept))
}

// Run keeps the revocations current until ctx ends, and then returns nil.
func (t *RevokedTokens) Run(ctx context.Context) error {
	poll, forget := time.NewTicker(pollEvery), time.NewTicker(forgetEvery)
	defer poll.Stop()
	defer forget.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-poll.C:
			t.sync(ctx)
		case <-forget.C:
			t.known.forget(t.now())
		}
	}
}

// sync reads what has changed.
func (t *RevokedTokens) sync(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	changed, err := t.follow(ctx)
	switch {
	case errors.Is(err, context.Canceled):
		return // stopping
	case err != nil:
		if !t.failed {
			t.failed = true
			t.log.WarnContext(ctx, "revocations of tokens cannot be read: those that are known stay in force", "error", err)
		}
		return
	}
	if t.failed {
		t.failed = false
		t.log.InfoContext(ctx, "revocations of tokens are read again")
	}
	t.synced.Store(t.now().UnixNano())
	if changed {
		if err := t.keep(); err != nil {
			t.log.WarnContext(ctx, "the copy of the revocations of tokens for a start without the database cannot be written", "error", err)
		}
	}
}

func (t *RevokedTokens) follow(ctx context.Context) (changed bool, err error) {
	// What is read after the state is at least as new; what is newer comes again.
	state, err := t.source.revocationsState(ctx)
	if err != nil {
		return false, err
	}
	before := t.state
	switch {
	case before == nil || state.rewritten != before.rewritten || state.newest < before.newest:
		all, err := t.source.revocationsAfter(ctx, 0)
		if err != nil {
			return false, err
		}
		t.known.replace(all)
	case state.newest > before.newest:
		more, err := t.source.revocationsAfter(ctx, before.newest)
		if err != nil {
			return false, err
		}
		for _, r := range more {
			t.known.add(r)
		}
	default:
		return false, nil
	}
	t.state = &state
	t.read.Store(true)
	return true, nil
}

// keep writes what is known to the file.
func (t *RevokedTokens) keep() error {
	if t.file == "" {
		return nil
	}
	b, err := json.Marshal(t.known.all())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(t.file), 0o700); err != nil {
		return err
	}
	return wholefile.Write(t.file, b)
}

// kept are the revocations of the file.
func (t *RevokedTokens) kept() ([]Revocation, error) {
	if t.file == "" {
		return nil, fs.ErrNotExist
	}
	b, err := os.ReadFile(t.file)
	if err != nil {
		return nil, err
	}
	var all []Revocation
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("reading %s: %w", t.file, err)
	}
	return all, nil
}
