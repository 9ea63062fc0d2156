package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// consul keeps the config in the key KEY, as it is or compressed, and the
// history beside it, as etcd does. The flags of KEY are the number of the
// version: Consul does not count a key that is set to what it was as changed,
// and a content that is applied again shall be seen.
type consul struct {
	client consulClient
	keys   keyNames
	// wait and gap are how long a blocking query waits, and the least time
	// from one query to the next.
	wait, gap time.Duration
}

const (
	consulWait = time.Minute
	consulGap  = 200 * time.Millisecond
)

func newConsul(l location, s Settings) (*consul, error) {
	for segment := range strings.SplitSeq(l.key, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return nil, fmt.Errorf("key %q: Consul's keys do not begin with a slash, and have no //, . or .. in them", l.key)
		}
	}
	client, err := s.consulClient(l.tls, l.hosts[0], "consul://", "consuls://")
	return &consul{
		client: consulClient{client},
		keys:   keyNames(l.key), wait: consulWait, gap: consulGap,
	}, err
}

// lock does nothing: Consul refuses a put that comes too late.
func (c *consul) lock(context.Context) (unlock func(), err error) { return func() {}, nil }

func (c *consul) head(ctx context.Context) (head, error) {
	pairs, _, err := c.client.get(ctx, string(c.keys), url.Values{"consistent": {""}})
	if err != nil {
		return head{}, err
	}
	return c.headOf(ctx, pairs)
}

// headOf completes what a read of the key returned by the newest entry. The
// two are read one after the other. So where they do not belong together, a
// write may have come between, and both are read again.
func (c *consul) headOf(ctx context.Context, pairs []consulPair) (head, error) {
	for {
		h := head{what: "key", revision: Absent}
		if len(pairs) > 0 {
			if err := h.set(pairs[0].Value, pairs[0].ModifyIndex); err != nil {
				return head{}, fmt.Errorf("key %s: %w", c.keys, err)
			}
		}
		versions, err := c.versions(ctx)
		if err != nil {
			return head{}, err
		}
		for _, v := range versions {
			if v.Number > h.newest.Number {
				h.newest = v
			}
		}
		if h.version() != nil {
			return h, nil
		}
		again, _, err := c.client.get(ctx, string(c.keys), url.Values{"consistent": {""}})
		if err != nil {
			return head{}, err
		}
		if slices.EqualFunc(pairs, again, consulPair.same) {
			return h, nil
		}
		pairs = again
	}
}

func (c *consul) put(ctx context.Context, h head, v Version, content []byte, place bool) (bool, error) {
	raw := encoded(content)
	ops := []consulOp{
		{Verb: "cas", Key: c.keys.version(v.Number), Value: record(v)}, // index 0: it must not be there
		{Verb: "set", Key: c.keys.content(v.Number), Value: raw},
	}
	switch {
	case place:
		ops = append(ops, consulOp{Verb: "cas", Key: string(c.keys), Value: raw, Index: h.cas, Flags: uint64(v.Number)})
	case h.exists:
		ops = append(ops, consulOp{Verb: "check-index", Key: string(c.keys), Index: h.cas})
	}
	// A transaction has 64 operations at most. Ten versions at a time are
	// enough, since one comes at a time.
	for old := max(v.Number-keep-9, 1); old <= v.Number-keep; old++ {
		ops = append(ops,
			consulOp{Verb: "delete", Key: c.keys.version(old)},
			consulOp{Verb: "delete", Key: c.keys.content(old)})
	}
	err := c.client.transact(ctx, ops)
	var refused consulRefusal
	switch {
	case errors.Is(err, ErrTooLarge):
		return false, fmt.Errorf("%w: it has %d bytes as Consul keeps it, and Consul takes 512 KiB at once (its limits.txn_max_req_len), the config twice in it, in base64",
			ErrTooLarge, len(raw))
	case errors.As(err, &refused):
		return false, c.reason(ctx, h, refused)
	}
	return err == nil, err
}

// reason is nil where a transaction was refused since others wrote meanwhile.
// Consul says that, and that it is not permitted, in the same way but for the
// wording, so it is looked up.
func (c *consul) reason(ctx context.Context, h head, refused consulRefusal) error {
	now, err := c.head(ctx)
	if err != nil {
		return err
	}
	if now.exists != h.exists || now.cas != h.cas || now.newest.Number != h.newest.Number {
		return nil
	}
	return refused
}

func (c *consul) versions(ctx context.Context) ([]Version, error) {
	pairs, _, err := c.client.get(ctx, c.keys.versions(), url.Values{"recurse": {""}, "consistent": {""}})
	if err != nil {
		return nil, err
	}
	var out []Version
	for _, p := range pairs {
		out = append(out, versionOf(c.keys.number(p.Key), p.Value))
	}
	return out, nil
}

func (c *consul) content(ctx context.Context, number int64) ([]byte, error) {
	pairs, _, err := c.client.get(ctx, c.keys.content(number), url.Values{"consistent": {""}})
	switch {
	case err != nil:
		return nil, err
	case len(pairs) == 0:
		return nil, ErrNoVersion
	}
	return decoded(pairs[0].Value)
}

func (c *consul) close() error {
	c.client.Close()
	return nil
}
