package limitxds

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/gatewright/gatewright/internal/limitfiles"
)

// MaxResponse is how many bytes a response may have: some 300 000 limits. One that is
// larger ends the stream, and changes nothing.
const MaxResponse = 64 << 20

const (
	// firstPause and longestPause bound the pause before a server is connected to again.
	firstPause   = 500 * time.Millisecond
	longestPause = 30 * time.Second
	// settling is how long a server that was connected to anew has to name a domain again
	// before its limits are taken away. See stream.leaving.
	settling = 10 * time.Second
	// firstWait and longestWait bound how long a response is refused later that follows
	// one that was refused. See stream.refuse.
	firstWait   = time.Second
	longestWait = 10 * time.Second
	// idle is how long nothing may have come before the server is asked whether it is
	// there, and idleAnswer how long it has for that. A server of gRPC for Go ends
	// connections on which it is asked more than once in five minutes.
	idle       = 6 * time.Minute
	idleAnswer = 20 * time.Second
)

// Take serves a table or, where err is not nil, tells that there is none. It returns why
// what was sent is not served; nil where it is.
type Take func(t *limitfiles.Table, err error) error

// Options are what a Client is made of. All but Kept must be there.
type Options struct {
	Settings
	// Read is how resources are read.
	Read limitfiles.Options
	// Kept is a folder for what was served last. Empty: it is not kept.
	Kept       string
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Client takes rate limit configuration from one server. New makes one.
type Client struct {
	o    Options
	node *corev3.Node
	kept kept
	// maxResponse, settling, firstWait and longestPause are the constants, but for tests.
	maxResponse                       int
	settling, firstWait, longestPause time.Duration

	// good is what is served, and sum its sum; current tells that it is also what was
	// taken last. Only Restore and then Follow touch them.
	good    []resource
	sum     [sha256.Size]byte
	current bool

	state   state
	metrics metrics
}

// New is a client of the server that the settings say. Errors are settings that cannot
// be meant, and files of certificates that cannot be used now.
func New(o Options) (*Client, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if _, err := o.credentials(time.Now()); err != nil {
		return nil, err
	}
	metadata, err := o.metadata()
	if err != nil {
		return nil, err // validated: never
	}
	c := &Client{
		o: o, node: &corev3.Node{Id: o.NodeID, Metadata: metadata, UserAgentName: "gatewright"},
		kept:        newKept(o.Kept, o.Settings),
		maxResponse: MaxResponse, settling: settling, firstWait: firstWait, longestPause: longestPause,
		metrics: newMetrics(),
	}
	c.state.begin(o.Settings, time.Now())
	return c, c.metrics.register(o.Registerer)
}

// Restore serves what an earlier run has served last of the same server, if it is kept:
// who starts while the server is away limits as before. It is called before Follow, or
// not at all.
func (c *Client) Restore(take Take) error {
	all, at, err := c.kept.load()
	if err != nil || all == nil {
		return err
	}
	t, err := table(all, c.o.Read)
	if err != nil {
		return fmt.Errorf("what is kept of an earlier run: %w", err)
	}
	if err := take(t, nil); err != nil {
		return fmt.Errorf("what is kept of an earlier run: %w", err)
	}
	c.hold(all, sum(all))
	c.state.restored(at)
	return nil
}

// Follow asks the server and serves what it sends, and every change of it, until the
// context ends, and then returns its error. While the server is away, what it sent last
// is served.
func (c *Client) Follow(ctx context.Context, take Take) error {
	pause := firstPause
	for {
		answered, err := c.connect(ctx, take)
		if ctx.Err() != nil {
			c.state.lost(ctx.Err(), time.Now())
			return ctx.Err()
		}
		if answered {
			pause = firstPause
		}
		c.lost(err)
		// A half of it by chance, so that many gateways do not come back at once.
		if !wait(ctx, pause/2+rand.N(pause/2)) {
			return ctx.Err()
		}
		pause = min(pause*2, c.longestPause)
	}
}

// lost tells of a server that is away: once, until it is there again.
func (c *Client) lost(err error) {
	c.metrics.lost()
	err = plainly(err)
	if c.state.lost(err, time.Now()) {
		c.o.Log.Warn("the server of rate limits is away; what it sent last is served", "server", c.o.Server, "error", err)
	}
}

// connect asks the server once, and follows until the stream ends. It tells whether the
// server has answered, and why it does so no more.
func (c *Client) connect(ctx context.Context, take Take) (answered bool, err error) {
	transport, err := c.o.credentials(time.Now())
	if err != nil {
		return false, err
	}
	conn, err := grpc.NewClient(c.o.target(),
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(c.maxResponse)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: idle, Timeout: idleAnswer}),
		grpc.WithDisableServiceConfig(),
		grpc.WithUserAgent("gatewright"))
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }() // it fails only where it is closed already
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ads, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		return false, err
	}
	if c.state.connected(time.Now()) {
		c.o.Log.Info("connected to the server of rate limits", "server", c.o.Server, "node", c.o.NodeID)
	}
	c.metrics.connected.Set(1)
	s := &stream{client: c, ads: ads, take: take}
	err = s.follow(ctx, cancel)
	return s.answered, err
}

// plainly is why a stream has ended, without what gRPC puts around it.
func plainly(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return errors.New("the server has ended the stream")
	}
	if s, ok := status.FromError(err); ok {
		return fmt.Errorf("%s: %s", s.Code(), s.Message())
	}
	return err
}

// Status is how the client stands.
func (c *Client) Status() Status { return c.state.status() }

// wait waits, and tells whether the context lasts.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
