package door

import (
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The reasons of refusals, which are a metric's label.
const (
	handshakeFailed = "handshake"        // no TLS, or no certificate that could be verified
	noCertificate   = "no-certificate"   // a call on a connection without one
	nodeMissing     = "node-missing"     // the first message of a stream says not which Envoy it is
	nodeForeign     = "node-not-in-cert" // the certificate does not name the node
	nodeChanged     = "node-changed"     // a later message names another node than the first
)

// refusal is why somebody was not let in.
type refusal struct {
	reason string
	detail string
}

// err is what the caller is told.
func (r refusal) err() error {
	code := codes.PermissionDenied
	if r.reason == noCertificate {
		code = codes.Unauthenticated
	}
	return status.Error(code, r.detail)
}

const (
	// quietFor is how long a refusal of the same peer for the same reason is
	// not told again.
	quietFor = time.Minute
	// maxTold bounds what is remembered for that. Beyond it, refusals of more
	// peers are counted, and told when others are forgotten.
	maxTold = 1024
)

// refusals counts all of them, and logs as many as can be read.
type refusals struct {
	log   *slog.Logger
	now   func() time.Time
	total *prometheus.CounterVec

	mu   sync.Mutex // guards told
	told map[telling]*silence
}

// telling is what is told once in a while: who was refused, and why.
type telling struct{ reason, peer string }

// silence is the time after a telling.
type silence struct {
	until time.Time
	more  int // refusals in it
}

func newRefusals(log *slog.Logger, reg prometheus.Registerer) *refusals {
	r := &refusals{
		log: log, now: time.Now, told: map[telling]*silence{},
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatewright_grpc_refused_total",
			Help: "Handshakes and calls on the gRPC port that were refused for who the caller is, or is not, by reason.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{handshakeFailed, noCertificate, nodeMissing, nodeForeign, nodeChanged} {
		r.total.WithLabelValues(reason)
	}
	reg.MustRegister(r.total)
	return r
}

// add notes a refusal.
func (r *refusals) add(f refusal, peer net.Addr) {
	r.total.WithLabelValues(f.reason).Inc()
	host := hostOf(peer)
	if more, tell := r.tell(telling{f.reason, host}); tell {
		r.log.Warn("refused on the gRPC port", "reason", f.reason, "peer", host, "detail", f.detail, "not_told_before", more)
	}
}

// tell says whether to log a refusal, and how many of its kind were not since
// the last one that was.
func (r *refusals) tell(t telling) (more int, tell bool) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.told[t]; s != nil && now.Before(s.until) {
		s.more++
		return 0, false
	} else if s != nil {
		more = s.more
		delete(r.told, t)
	}
	if len(r.told) >= maxTold {
		for old, s := range r.told {
			if !now.Before(s.until) {
				delete(r.told, old)
			}
		}
	}
	if len(r.told) >= maxTold {
		return 0, false
	}
	r.told[t] = &silence{until: now.Add(quietFor)}
	return more, true
}

// hostOf is a peer without its port, which differs from one connection to the
// next.
func hostOf(peer net.Addr) string {
	if peer == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(peer.String())
	if err != nil {
		return peer.Network()
	}
	return host
}
