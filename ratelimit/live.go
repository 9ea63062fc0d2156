package ratelimit

import (
	"context"
	"crypto/rand"
	_ "embed"
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
	// liveKey is where they say so.
	liveKey = redisPrefix + "{live}"
)

//go:embed live.lua
var liveSource string

// live tells Redis that this instance lives, and knows how many there are: by as
// many a limit is divided while Redis does not answer.
type live struct {
	redis    *redisStore
	timeout  time.Duration
	script   *redis.Script
	instance string

	// count is the most that Redis has counted in the last liveFor. A Redis that
	// has lost its data hears of one instance after the other; none of them is to
	// believe meanwhile that it is alone. While Redis does not answer it stays.
	count  atomic.Int64
	recent []int64 // the last counts, of run alone

	stop    context.CancelFunc
	stopped chan struct{}
}

// newLive announces this instance, if Redis answers in time, and goes on to do so;
// close ends that.
func newLive(r *redisStore, timeout time.Duration) *live {
	ctx, stop := context.WithCancel(context.Background())
	l := &live{
		redis: r, timeout: timeout, script: redis.NewScript(liveSource), instance: rand.Text(),
		stop: stop, stopped: make(chan struct{}),
	}
	l.count.Store(1)
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
	n, err := l.say(ctx, liveFor)
	if err != nil {
		return // the guard tells of it
	}
	l.recent = append(l.recent, max(n, 1))
	if most := int(liveFor / liveEvery); len(l.recent) > most {
		l.recent = slices.Delete(l.recent, 0, len(l.recent)-most)
	}
	l.count.Store(slices.Max(l.recent))
}

func (l *live) say(ctx context.Context, good time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	return l.script.Run(ctx, l.redis.client, []string{liveKey}, l.instance, good.Milliseconds()).Int64()
}

// close says that this instance goes.
func (l *live) close() {
	l.stop()
	<-l.stopped
	_, _ = l.say(context.Background(), 0) // or it is forgotten after liveFor
}
