package keys

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// newsGap is the least time from one read of the feed that was asked for by
	// an announcement to the next, however many announcements there are.
	newsGap = 50 * time.Millisecond
	// forgedLogEvery is the least time between two warnings of forged values.
	forgedLogEvery = time.Minute
)

// shared is the layer between the memory of a Cache and the database: what any
// instance has read, in a Redis. Only Run uses it, but for news.
type shared struct {
	*sharedRedis
	log     *slog.Logger
	metrics sharedMetrics
	// news holds a value while there is an announcement to follow.
	news chan struct{}

	// seal is nil until it is known which database this is, and again when it
	// may be another. database is which one it was last.
	seal     *seal
	database string
	// recent tells which values are current.
	recent *recent
	// identifying, reading and writing fail apart: a Redis that is full can be
	// read.
	identifying, reading, writing pause
	forgedLogged                  time.Time
}

func newShared(redis *sharedRedis, log *slog.Logger) *shared {
	return &shared{sharedRedis: redis, log: log, metrics: newSharedMetrics(), news: make(chan struct{}, 1), recent: newRecent(recentChanges)}
}

// heard notes an announcement for Run.
func (s *shared) heard() {
	s.metrics.heard.Inc()
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// read returns those of ids that Redis has and that are current. All others,
// whatever Redis says of them, are to be read from the database.
func (s *shared) read(ctx context.Context, ids []string, now time.Time) map[string]found {
	if s == nil || s.seal == nil || !s.reading.over(time.Now()) {
		return nil
	}
	values, err := s.get(ctx, ids)
	s.metrics.call(callRead, err)
	if err != nil {
		s.noteFailure(ctx, &s.reading, "keys cannot be read from Redis; the database is asked for each", err)
		return nil
	}
	s.noteSuccess(ctx, &s.reading, "keys are read from Redis again")
	answers := make(map[string]found, len(ids))
	for i, id := range ids {
		if answer, current := s.judge(ctx, id, values[i], now); current {
			answers[id] = answer
		}
	}
	return answers
}

// judge returns what a value says of id, if it may be believed.
func (s *shared) judge(ctx context.Context, id string, sealed []byte, now time.Time) (answer found, current bool) {
	result := valueHit
	defer func() { s.metrics.values.WithLabelValues(result).Inc() }()
	if len(sealed) == 0 {
		result = valueMiss
		return found{}, false
	}
	value, err := s.seal.open(id, sealed, now)
	switch {
	case errors.Is(err, errForged):
		result = valueForged
		s.warnForged(ctx, id, now)
		return found{}, false
	case err != nil || !s.recent.isCurrent(id, value.Version, value.AsOf):
		result = valueOutdated
		return found{}, false
	}
	return found{record: &value.Record, version: value.Version, from: layerRedis}, true
}

// noText stands for a value of another type than text.
var noText = []byte{0}

// get returns the values of ids in their order, empty where there is none. No
// more of one is read than a value of ours can have, and a byte.
func (s *shared) get(ctx context.Context, ids []string) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	asked := make([]*redis.StringCmd, len(ids))
	_, err := s.values.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, id := range ids {
			asked[i] = pipe.GetRange(ctx, s.seal.name(id), 0, maxSharedBytes)
		}
		return nil
	})
	values := make([][]byte, len(ids))
	for i, one := range asked {
		text, oneErr := one.Bytes()
		switch {
		case redis.HasErrorPrefix(oneErr, "WRONGTYPE"):
			text = noText
		case oneErr != nil:
			return nil, errors.Join(err, oneErr)
		}
		values[i] = text
	}
	return values, nil
}

// write puts what was read of the database, after change asOf of its feed, into
// Redis for the other instances. Ids that no key has are not among it: there
// is no end of them, and who makes them up would fill Redis.
func (s *shared) write(ctx context.Context, answers map[string]found, asOf int64, now time.Time) {
	// A Redis that cannot be read is not waited for a second time.
	if s == nil || s.seal == nil || !s.reading.over(time.Now()) || !s.writing.over(time.Now()) {
		return
	}
	values := make(map[string][]byte, len(answers))
	for id, answer := range answers {
		if answer.record == nil || answer.version < 1 {
			continue
		}
		if sealed, err := s.seal.close(answer.record, answer.version, asOf, now); err == nil { // else it is too long
			values[s.seal.name(id)] = sealed
		}
	}
	if len(values) == 0 {
		return
	}
	err := s.set(ctx, values)
	s.metrics.call(callWrite, err)
	if err != nil {
		s.noteFailure(ctx, &s.writing, "keys cannot be written to Redis; other instances read them from the database", err)
		return
	}
	s.noteSuccess(ctx, &s.writing, "keys are written to Redis again")
}

func (s *shared) set(ctx context.Context, values map[string][]byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.values.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for name, value := range values {
			pipe.Set(ctx, name, value, sharedFor)
		}
		return nil
	})
	return err
}

// noteFailure leaves what failed alone for a while, and logs the first of a row.
func (s *shared) noteFailure(ctx context.Context, p *pause, message string, err error) {
	if ctx.Err() != nil {
		return // the gateway stops; Redis is not to blame
	}
	if p.failed(time.Now()) {
		s.log.WarnContext(ctx, message, slog.Any("error", err))
	}
}

func (s *shared) noteSuccess(ctx context.Context, p *pause, message string) {
	if p.worked() {
		s.log.InfoContext(ctx, message)
	}
}

func (s *shared) warnForged(ctx context.Context, id string, now time.Time) {
	if since := now.Sub(s.forgedLogged); since >= 0 && since < forgedLogEvery {
		return
	}
	s.forgedLogged = now
	s.log.WarnContext(ctx, "Redis holds a value of an API key that no gateway with this GATEWRIGHT_KEY_SECRET has written; the database is asked",
		slog.String("key", id))
}
