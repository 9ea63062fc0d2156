package ratelimit

import (
	"fmt"
	"time"

	"github.com/gatewright/gatewright/config"
)

// defaultLease is how long a request counts whose end nobody tells of.
const defaultLease = time.Minute

// maxFlights is the most that a limit of concurrency admits at once: it remembers
// each request in flight.
const maxFlights = 100_000

// newConcurrency returns the limit that def describes: a log of the requests that
// have begun and not ended, of which none is older than the lease. Errors are
// definitions that config.Load refuses too.
func newConcurrency(def config.Concurrency) (slidingLog, error) {
	lease := def.Lease.Or(defaultLease)
	switch {
	case def.Max <= 0 || def.Max > maxFlights:
		return slidingLog{}, fmt.Errorf("max %d, must be from 1 to %d", def.Max, maxFlights)
	case lease <= 0 || lease%time.Millisecond != 0:
		return slidingLog{}, fmt.Errorf("lease %v, must be whole milliseconds and > 0", lease)
	}
	return slidingLog{limit: def.Max, window: lease.Microseconds(), flights: true}, nil
}
