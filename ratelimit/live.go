package ratelimit

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// liveEvery is how often an instance says that it lives, and liveFor for how
	// long it is believed.
	liveEvery = time.Second
	liveFor   = 5 * time.Second
	// liveKey is where they say so, and liveEnvoysKey where they say how many Envoys
	// they have.
	liveKey       = redisPrefix + "{live}"
	liveEnvoysKey = redisPrefix + "{live}:envoys"
)

//go:embed live.lua
var liveSource string

// live tells Redis that this instance lives, and knows how many there are: by as
// many a limit is divided while Redis does not answer. It tells how many Envoys the
// instance has, too: by as many as all have a limit is divided that runs inside Envoy.
type live struct {
	redis    *redisStore
	timeout  time.Duration
	script   *redis.Script
	instance string

	// count is the most that Redis has counted in the last liveFor. A Redis that
	// has lost its data hears of one instance after the other; none of them is to
	// believe meanwhile that it is alone. While Redis does not answer it stays.
	count  atomic.Int64
	recent []seenLive // the last counts, of run alone

	// envoys are those of this instance, others the most that all others have had in the
	// last liveFor.
	envoys, others atomic.Int64

	stop    context.CancelFunc
	stopped chan struct{}
}

// seenLive is what Redis has said once: how many instances there are, and how many
// Envoys the others have.
type seenLive struct{ instances, envoys int64 }

// newLive announces this instance, if Redis answers in time, and goes on to do so;
// close ends that.
func newLive(r *redisStore, timeout time.Duration) *live {
	ctx, stop := context.WithCancel(context.Background())
	l := &live{
		redis: r, timeout: timeout, script: redis.NewScript(liveSource), instance: rand.Text(),
		stop: stop, stopped: make(chan struct{}),
	}
	l.count.Store(1)
	// Who starts at the same time is to leave room for an Envoy that is about to come.
	l.envoys.Store(1)
	l.announce(ctx)
	go l.run(ctx)
	return l
}

// instances is how many there are, this one among them: 1 until Redis has said.
func (l *live) instances() int64 { return l.count.Load() }

func (l *live) run(ctx context.Context) {
	defer close(l.stopped)
	beat := time.NewTicker(liveEvery)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			l.announce(ctx)
		}
	}
}

// announce is one word to Redis, which no request waits for.
func (l *live) announce(ctx context.Context) {
	seen, err := l.say(ctx, liveFor)
	if err != nil {
		return // the guard tells of it
	}
	l.recent = append(l.recent, seen)
	if most := int(liveFor / liveEvery); len(l.recent) > most {
		l.recent = slices.Delete(l.recent, 0, len(l.recent)-most)
	}
	instances, others := int64(1), int64(0)
	for _, seen := range l.recent {
		instances, others = max(instances, seen.instances), max(others, seen.envoys)
	}
	l.count.Store(instances)
	l.others.Store(others)
}

func (l *live) say(ctx context.Context, good time.Duration) (seenLive, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	said, err := l.script.Run(ctx, l.redis.client, []string{liveKey, liveEnvoysKey}, l.instance, good.Milliseconds(), l.envoys.Load()).Int64Slice()
	if err != nil {
		return seenLive{}, err
	}
	if len(said) != 2 {
		return seenLive{}, fmt.Errorf("%d numbers, want instances and Envoys", len(said))
	}
	return seenLive{instances: said[0], envoys: said[1]}, nil
}

// close says that this instance goes.
func (l *live) close() {
	l.stop()
	<-l.stopped
	_, _ = l.say(context.Background(), 0) // or it is forgotten after liveFor
}
