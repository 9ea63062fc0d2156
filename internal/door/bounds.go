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
	// maxCall bounds the message of a call that is answered for one request: its
	// headers, and of other people's Envoys its body where they send it.
	maxCall = 4 << 20
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

	// workers are goroutines that serve calls one after the other, with the stack
	// that the last one has grown. Streams that stay take one each; calls that
	// find none free get a goroutine of their own, as all would by default.
	workers = 256
	// ioBuffer is what is read from, or gathered for, a connection at once.
	ioBuffer = 128 << 10
	// window is how much of one stream may be under way unread. That it is set
	// bounds a caller to less than the 16 MiB to which gRPC would let it grow, and
	// spares the pings by which it would measure.
	window = 256 << 10
	// connWindow is the same of a connection, whose data gRPC reads at once.
	connWindow = 4 << 20

	// A peer that is gone without a word is noticed after the sum of these.
	keepaliveTime = 10 * time.Second
	keepaliveWait = 5 * time.Second
	// keepaliveMin is how often a client may ask in turn. Our bootstrap has
	// Envoy ask every 10 s.
	keepaliveMin = 5 * time.Second
)

// speed is how the server uses what it has: chosen by bench/check.
func speed() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		grpc.NumStreamWorkers(workers),
		grpc.ReadBufferSize(ioBuffer),
		grpc.WriteBufferSize(ioBuffer),
		grpc.StaticStreamWindowSize(window),
		grpc.StaticConnWindowSize(connWindow),
	}
}

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
