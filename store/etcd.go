package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// etcd keeps the config in the key KEY, as it is or compressed, the entries of
// the history in KEY.history/v/NUMBER and their contents in KEY.history/c/NUMBER.
// All that belongs together is read and written by one Txn.
type etcd struct {
	config clientv3.Config
	hosts  string // for errors
	keys   keyNames
	// audit is how often a watch reads, though nothing rang: see watch.
	audit time.Duration

	// client holds the client, or nil before the first use: with a password,
	// to make one is to call the server. Who takes it out puts one back.
	client chan *clientv3.Client
	// trouble is what the connection failed by last: errors of calls that
	// waited for it say only that they waited.
	trouble atomic.Pointer[string]
}

const etcdAudit = 10 * time.Second

func newEtcd(l location, s Settings) (*etcd, error) {
	if (s.EtcdUsername == "") != (s.EtcdPassword == "") {
		return nil, errPairOfEtcd
	}
	e := &etcd{
		hosts: strings.Join(l.hosts, ", "), keys: keyNames(l.key), audit: etcdAudit,
		client: make(chan *clientv3.Client, 1),
	}
	e.client <- nil
	e.config = clientv3.Config{
		Username: s.EtcdUsername, Password: s.EtcdPassword,
		DialTimeout:       readTime,
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 5 * time.Second,
		// How large a request may be is the server's to say.
		MaxCallSendMsgSize: 64 << 20, MaxCallRecvMsgSize: 256 << 20,
		// Its log would name what our errors name, in other words.
		Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{
			grpc.WithChainUnaryInterceptor(e.noteTrouble),
			// After a long outage grpc would let two minutes pass between attempts.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: leastPause, Multiplier: 2, Jitter: 0.2, MaxDelay: mostPause},
				MinConnectTimeout: readTime,
			}),
		},
	}
	scheme := "http://"
	var err error
	if l.tls {
		scheme = "https://"
		e.config.TLS, err = tlsConfig("GATEWRIGHT_ETCD", s.EtcdCA, s.EtcdCert, s.EtcdKey)
	} else {
		err = plaintextWith("GATEWRIGHT_ETCD", "etcd://", "etcds://", s.EtcdCA, s.EtcdCert, s.EtcdKey)
	}
	for _, host := range l.hosts {
		e.config.Endpoints = append(e.config.Endpoints, scheme+host)
	}
	return e, err
}

// connected returns the client. It makes one where there is none yet.
func (e *etcd) connected(ctx context.Context) (*clientv3.Client, error) {
	select {
	case c := <-e.client:
		defer func() { e.client <- c }()
		if c != nil {
			return c, nil
		}
		made, err := clientv3.New(e.config)
		if err != nil {
			return nil, e.explained(err)
		}
		c = made
		return c, nil
	case <-ctx.Done():
		return nil, e.explained(ctx.Err())
	}
}

// lock does nothing: etcd refuses a put that comes too late.
func (e *etcd) lock(context.Context) (unlock func(), err error) { return func() {}, nil }

func (e *etcd) head(ctx context.Context) (head, error) {
	h, _, err := e.headAt(ctx)
	return h, err
}

// headAt also returns the revision of etcd at which the head was read.
func (e *etcd) headAt(ctx context.Context) (head, int64, error) {
	c, err := e.connected(ctx)
	if err != nil {
		return head{}, 0, err
	}
	resp, err := c.Txn(ctx).Then(
		clientv3.OpGet(string(e.keys)),
		clientv3.OpGet(e.keys.versions(), clientv3.WithLastKey()...),
	).Commit()
	if err != nil {
		return head{}, 0, e.explained(err)
	}
	h := head{what: "key", revision: Absent}
	if kvs := resp.Responses[1].GetResponseRange().Kvs; len(kvs) > 0 {
		h.newest = versionOf(e.keys.number(string(kvs[0].Key)), kvs[0].Value)
	}
	if kvs := resp.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
		if err := h.set(kvs[0].Value, uint64(kvs[0].ModRevision)); err != nil {
			return head{}, resp.Header.Revision, fmt.Errorf("key %s: %w", e.keys, err)
		}
	}
	return h, resp.Header.Revision, nil
}

func (e *etcd) put(ctx context.Context, h head, v Version, content []byte, place bool) (bool, error) {
	c, err := e.connected(ctx)
	if err != nil {
		return false, err
	}
	raw := string(encoded(content))
	ops := []clientv3.Op{
		clientv3.OpPut(e.keys.version(v.Number), string(record(v))),
		clientv3.OpPut(e.keys.content(v.Number), raw),
	}
	if place {
		ops = append(ops, clientv3.OpPut(string(e.keys), raw))
	}
	if first := v.Number - keep + 1; first > 1 {
		ops = append(ops,
			clientv3.OpDelete(e.keys.version(0), clientv3.WithRange(e.keys.version(first))),
			clientv3.OpDelete(e.keys.content(0), clientv3.WithRange(e.keys.content(first))))
	}
	resp, err := c.Txn(ctx).If(
		clientv3.Compare(clientv3.ModRevision(string(e.keys)), "=", int64(h.cas)),
		clientv3.Compare(clientv3.CreateRevision(e.keys.version(v.Number)), "=", 0),
	).Then(ops...).Commit()
	switch {
	case isTooLarge(err):
		return false, fmt.Errorf("%w: it has %d bytes as etcd keeps it, and etcd takes 1.5 MiB at once (its --max-request-bytes), the config twice in it",
			ErrTooLarge, len(raw))
	case err != nil && mayHaveBeenDone(err):
		return false, fmt.Errorf("%w: %w", errOutcomeUnknown, e.explained(err))
	case err != nil:
		return false, e.explained(err)
	}
	return resp.Succeeded, nil
}

func (e *etcd) versions(ctx context.Context) ([]Version, error) {
	c, err := e.connected(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := c.Get(ctx, e.keys.versions(), clientv3.WithPrefix())
	if err != nil {
		return nil, e.explained(err)
	}
	var out []Version
	for _, kv := range resp.Kvs {
		out = append(out, versionOf(e.keys.number(string(kv.Key)), kv.Value))
	}
	return out, nil
}

func (e *etcd) content(ctx context.Context, number int64) ([]byte, error) {
	c, err := e.connected(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := c.Get(ctx, e.keys.content(number))
	switch {
	case err != nil:
		return nil, e.explained(err)
	case len(resp.Kvs) == 0:
		return nil, ErrNoVersion
	}
	return decoded(resp.Kvs[0].Value)
}

func (e *etcd) close() error {
	c := <-e.client
	defer func() { e.client <- c }()
	if c == nil {
		return nil
	}
	return c.Close()
}

// noteTrouble notes why calls fail. Those that wait for a connection are told
// by grpc what it failed by, and etcd's client drops that.
func (e *etcd) noteTrouble(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, conn, opts...)
	switch status.Code(err) {
	case codes.OK:
		e.trouble.Store(nil)
	case codes.Unavailable, codes.DeadlineExceeded:
		text := status.Convert(err).Message()
		e.trouble.Store(&text)
	}
	return err
}

// explained says of a server that is away which one it is, and why.
func (e *etcd) explained(err error) error {
	if !mayHaveBeenDone(err) {
		return err
	}
	if text := e.trouble.Load(); text != nil && *text != err.Error() {
		return fmt.Errorf("etcd at %s does not answer: %w (%s)", e.hosts, err, *text)
	}
	return fmt.Errorf("etcd at %s does not answer: %w", e.hosts, err)
}

// mayHaveBeenDone tells of errors that are no answer of the server.
func mayHaveBeenDone(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return true
	}
	var answer rpctypes.EtcdError
	code := status.Code(err)
	if errors.As(err, &answer) {
		code = answer.Code()
	}
	return code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Canceled || code == codes.Unknown && !errors.As(err, &answer)
}

// isTooLarge tells both ways in which a request is too large: for etcd, and
// for the connection, whose limit lies half a megabyte above.
func isTooLarge(err error) bool {
	return errors.Is(err, rpctypes.ErrRequestTooLarge) ||
		status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "larger than max")
}
