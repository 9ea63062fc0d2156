package authz

import (
	"sync/atomic"
	"time"
)

// troubleInterval is the least time between two lines about requests that
// could not be judged. The metrics count them all.
const troubleInterval = time.Second

// sparingly lets one event pass each troubleInterval. The zero value is ready.
type sparingly struct{ last atomic.Int64 }

func (p *sparingly) due(now time.Time) bool {
	last := p.last.Load()
	return now.UnixNano()-last >= int64(troubleInterval) && p.last.CompareAndSwap(last, now.UnixNano())
}
