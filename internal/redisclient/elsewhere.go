package redisclient

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// Moving says whether an error is a cluster's that a slot is another server's, or is
// being moved to one. Nothing was done.
func Moving(err error) bool {
	return redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "ASK") || redis.HasErrorPrefix(err, "TRYAGAIN")
}

// Elsewhere says whether an error of a script's call is that nothing was done, and it
// can be in another way: by its text where the server does not know it, or by another
// server of the cluster, which is nil where there is none. Where another has the slot,
// the cluster is looked at anew, in the background.
func Elsewhere(ctx context.Context, cluster *redis.ClusterClient, err error) bool {
	switch {
	case err == nil:
		return false
	case redis.HasErrorPrefix(err, "NOSCRIPT"):
		return true
	case cluster == nil:
		return false
	}
	moved := Moving(err) || errors.Is(err, redis.ErrClosed) // the server's place in the client is another's
	if moved {
		cluster.ReloadState(ctx)
	}
	return moved
}
