package door

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

const (
	// maxMessage bounds one message from an Envoy. The largest is an ADS
	// request that lists all resources that a reconnecting Envoy has.
	maxMessage = 64 << 20
	// maxHeaders bounds the headers of one call.
	maxHeaders = 64 << 10
	// maxStreams bounds the calls at once on one connection; grpc-go has no
	// bound of its own. It is what Envoy keeps to by itself since 1.36, and
	// what our bootstrap tells the older ones: beyond it Envoy opens one more
	// connection, so that no request waits or is refused for it.
	maxStreams = 1024
	// handshakeTime bounds what comes before the first call: TLS, and HTTP/2's
	// preface. grpc-go's 120 s would let a stranger hold a connection so long
	// who has shown nothing.
	handshakeTime = 10 * time.Second

	// A peer that is gone without a word is noticed after the sum of these.
	keepaliveTime = 10 * time.Second
	keepaliveWait = 5 * time.Second
	// keepaliveMin is how often a client may ask in turn. Our bootstrap has
	// Envoy ask every 10 s.
	keepaliveMin = 5 * time.Second
)

// bounds are what one caller may take of the server, whoever it is.
func bounds(handshake time.Duration) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxHeaderListSize(maxHeaders),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(handshake),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveWait}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveMin, PermitWithoutStream: true}),
	}
}
