package door

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// transport is TLS for the network, and nothing for Unix sockets, so that one
// server has both doors.
type transport struct {
	credentials.TransportCredentials // of TLS
	refusals                         *refusals
}

func (d *Door) credentials() credentials.TransportCredentials {
	return &transport{
		TransportCredentials: credentials.NewTLS(&tls.Config{
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				return d.served.Load().config, nil
			},
		}),
		refusals: d.refusals,
	}
}

// ServerHandshake makes a connection one on which calls are served. How long
// it may take is a bound of the server.
func (t *transport) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if isLocal(conn.RemoteAddr()) {
		return insecure.NewCredentials().ServerHandshake(conn)
	}
	from := conn.RemoteAddr()
	secured, info, err := t.TransportCredentials.ServerHandshake(conn)
	// Who leaves without a word, as the checks of load balancers do, was not
	// refused.
	if err != nil && !errors.Is(err, io.EOF) {
		t.refusals.add(refusal{handshakeFailed, fmt.Sprintf("%.300s", err)}, from)
	}
	return secured, info, err
}

// Clone returns credentials of their own, as gRPC wants.
func (t *transport) Clone() credentials.TransportCredentials {
	return &transport{TransportCredentials: t.TransportCredentials.Clone(), refusals: t.refusals}
}

// isLocal tells whether a peer came through a Unix socket: whoever can open
// its file may, and nobody else.
func isLocal(peer net.Addr) bool { return peer != nil && peer.Network() == "unix" }
