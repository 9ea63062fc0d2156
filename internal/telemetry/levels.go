package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// Packages are those whose log has a level of its own.
var Packages = []string{
	"acme", "authz", "bodies", "breakerpolicy", "certs", "console", "discovery", "door", "envoy", "keys", "outcome", "ratelimit", "rollout", "store", "tracing", "xds",
}

// Logs are the logs of all packages. They write to one place, each from a level on that
// may change at any time.
type Logs struct {
	handler slog.Handler
	// others is for what is of no package in levels.
	others *slog.LevelVar
	levels map[string]*slog.LevelVar

	mu   sync.Mutex // guards said
	said string
}

func newLogs(handler slog.Handler) *Logs {
	l := &Logs{handler: handler, others: &slog.LevelVar{}, levels: make(map[string]*slog.LevelVar, len(Packages))}
	for _, name := range Packages {
		l.levels[name] = &slog.LevelVar{}
	}
	return l
}

// Of is the log of a package; "" is that of what is of none of Packages.
func (l *Logs) Of(name string) *slog.Logger {
	level := l.levels[name]
	if level == nil {
		level = l.others
	}
	return slog.New(leveled{l.handler, level})
}

// Levels are those in force, as SetLevels takes them.
func (l *Logs) Levels() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said
}

// errLevels says what levels are.
var errLevels = errors.New("want debug, info, warn or error, and for a package another one, as info,xds=debug; the packages are " + strings.Join(Packages, ", "))

// SetLevels sets all levels, by a text as in Settings.LogLevel. An error changes none.
func (l *Logs) SetLevels(text string) error {
	others, of, err := parseLevels(text)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = text
	l.others.Set(others)
	for name, level := range l.levels {
		if own, ok := of[name]; ok {
			level.Set(own)
		} else {
			level.Set(others)
		}
	}
	return nil
}

// parseLevels reads the level for all, which is info where there is none, and those of
// packages.
func parseLevels(text string) (others slog.Level, of map[string]slog.Level, err error) {
	of = map[string]slog.Level{}
	for i, part := range strings.Split(text, ",") {
		name, word, own := strings.Cut(strings.TrimSpace(part), "=")
		if !own {
			name, word = "", name
		}
		var level slog.Level
		if err := level.UnmarshalText([]byte(word)); err != nil {
			return 0, nil, errLevels
		}
		switch _, again := of[name]; {
		case !own && i == 0:
			others = level
		case !own:
			return 0, nil, fmt.Errorf("%s: the level for all stands first: %w", word, errLevels)
		case !slices.Contains(Packages, name):
			return 0, nil, fmt.Errorf("%s: no such package: %w", name, errLevels)
		case again:
			return 0, nil, fmt.Errorf("%s is there twice", name)
		default:
			of[name] = level
		}
	}
	return others, of, nil
}

// leveled is a handler that takes records from a level on.
type leveled struct {
	slog.Handler
	level *slog.LevelVar
}

// Enabled implements slog.Handler.
func (h leveled) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level.Level() }

// WithAttrs implements slog.Handler.
func (h leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return leveled{h.Handler.WithAttrs(attrs), h.level}
}

// WithGroup implements slog.Handler.
func (h leveled) WithGroup(name string) slog.Handler {
	return leveled{h.Handler.WithGroup(name), h.level}
}
