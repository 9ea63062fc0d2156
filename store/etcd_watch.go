package store

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// watch reads, waits until something may have changed, and reads again. What
// etcd's watch says is only the bell: whatever became of the watch (compacted,
// no leader, cut off), the next read tells the truth.
//
// It reads every 10 s without a bell, too. A cluster restored from a backup
// counts on from a lower revision, and then a watch that is resumed waits, in
// silence, for the revision where it was.
func (e *etcd) watch(ctx context.Context, f *follower) error {
	var seen int64
	var bells pauses
	for ctx.Err() == nil {
		revision, ok := e.look(ctx, f, seen)
		if !ok {
			f.pause.wait(ctx)
			continue
		}
		seen = revision
		if err := e.changed(ctx, revision); err != nil {
			f.log.Debug("the watch of the config was cut off, it is read again", "config", f.name, "error", err)
			bells.wait(ctx)
			continue
		}
		bells.reset()
	}
	return ctx.Err()
}

// look reads once, and returns the revision of the read. It is not ok where
// etcd did not answer.
func (e *etcd) look(ctx context.Context, f *follower, seen int64) (revision int64, ok bool) {
	limited, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	h, revision, err := e.headAt(limited)
	if ctx.Err() != nil {
		return 0, false
	}
	if revision != 0 && revision < seen {
		f.log.Warn("etcd went back, as after a restored backup: what it has now is taken", "config", f.name, "revision", revision, "seen", seen)
	}
	f.read(h, err)
	return revision, revision != 0
}

// changed returns nil when the key may have changed after a revision.
func (e *etcd) changed(ctx context.Context, revision int64) error {
	c, err := e.connected(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, e.audit)
	defer cancel()
	// Without a leader, a member that is cut off from the others would keep the
	// watch open and never ring.
	for resp := range c.Watch(clientv3.WithRequireLeader(ctx), string(e.keys), clientv3.WithRev(revision+1)) {
		switch err := resp.Err(); {
		case errors.Is(err, rpctypes.ErrCompacted):
			return nil
		case err != nil:
			return e.explained(err)
		case len(resp.Events) > 0:
			return nil
		}
	}
	if ctx.Err() != nil {
		return nil // time for an audit
	}
	return errors.New("etcd closed the watch")
}
