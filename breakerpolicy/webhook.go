package breakerpolicy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatewright/gatewright/config"
)

const (
	// mostEvents is how many events wait at most, and hookWorkers how many are told
	// at once, so that one slow webhook does not hold up the others.
	mostEvents  = 256
	hookWorkers = 4
	// hookTimeout bounds one try, and hookTries how many there are, firstHookPause
	// apart and then twice as long each time.
	hookTimeout    = 5 * time.Second
	hookTries      = 4
	firstHookPause = time.Second
)

// hooks tell webhooks of events, in the background. An event that cannot be told is
// only logged. They are the operator's own addresses, from the config: they may be
// in a private network, but an answer that leads elsewhere is not followed.
type hooks struct {
	log    *slog.Logger
	counts *prometheus.CounterVec
	client *http.Client
	getenv func(string) string
	pause  time.Duration

	queue chan hookEvent
	stop  context.CancelFunc
	done  sync.WaitGroup
}

type hookEvent struct {
	to *config.Webhook
	Event
}

// newHooks starts the workers; close ends them.
func newHooks(log *slog.Logger, counts *prometheus.CounterVec) *hooks {
	ctx, stop := context.WithCancel(context.Background())
	h := &hooks{
		log: log, counts: counts, getenv: os.Getenv, pause: firstHookPause,
		client: &http.Client{
			Transport:     http.DefaultTransport.(*http.Transport).Clone(),
			Timeout:       hookTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		queue: make(chan hookEvent, mostEvents), stop: stop,
	}
	for range hookWorkers {
		h.done.Go(func() { h.run(ctx) })
	}
	return h
}

// send queues an event. It never blocks: when too many wait, the event is dropped.
func (h *hooks) send(to *config.Webhook, e Event) {
	select {
	case h.queue <- hookEvent{to, e}:
	default:
		h.dropped(hookEvent{to, e}, "too many events wait")
	}
}

func (h *hooks) dropped(e hookEvent, why string) {
	h.counts.WithLabelValues("dropped").Inc()
	h.log.Error("a webhook is not told of a breaker: "+why, "webhook", hostOf(e.to.URL), "breaker", e.Breaker, "generation", e.Generation)
}

func (h *hooks) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-h.queue:
			if !h.deliver(ctx, e) {
				h.dropped(e, "the gateway stops")
			}
		}
	}
}

// deliver tries until the webhook has taken the event, refuses it, or the tries are
// used up; false where the context ended before.
func (h *hooks) deliver(ctx context.Context, e hookEvent) bool {
	var err error
	pause := h.pause
	for try := range hookTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return false
			case <-time.After(pause):
			}
			pause *= 2
		}
		if err = h.post(ctx, e); err == nil {
			h.counts.WithLabelValues("delivered").Inc()
			return true
		}
		if errors.Is(err, errRefused) {
			break
		}
	}
	if ctx.Err() != nil {
		return false
	}
	h.counts.WithLabelValues("failed").Inc()
	h.log.Error("a webhook could not be told of a breaker", "webhook", hostOf(e.to.URL), "breaker", e.Breaker, "generation", e.Generation, "error", err)
	return true
}

// errRefused: another try would be answered in the same way.
var errRefused = errors.New("it refuses the event")

// post is one try. Its errors say nothing of the URL but its host: what follows that
// may be a secret.
func (h *hooks) post(ctx context.Context, e hookEvent) error {
	body, err := json.Marshal(e.Event)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.to.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: its URL is malformed", errRefused)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "gatewright")
	if name := e.to.AuthorizationEnv; name != "" {
		req.Header.Set("Authorization", h.getenv(name))
	}
	resp, err := h.client.Do(req)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err // without the URL
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
	switch {
	case resp.StatusCode < 300:
		return nil
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout:
		return fmt.Errorf("it answers %s", resp.Status)
	default:
		return fmt.Errorf("%w: it answers %s", errRefused, resp.Status)
	}
}

// hostOf is what of a URL may be logged.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Host
}

// close ends the workers. What waits is not told any more.
func (h *hooks) close() {
	h.stop()
	h.done.Wait()
	for range len(h.queue) {
		h.dropped(<-h.queue, "the gateway stops")
	}
	h.client.CloseIdleConnections()
}
