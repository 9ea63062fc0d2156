package door

import (
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/gatewright/gatewright/internal/unary"
)

// Server is the gRPC port behind a door. Calls that Envoy waits for with a
// request in its hands, and the access logs of its threads, are taken on plain loops
// (package unary), and all else is grpc-go's: a connection is of the one or the other by its first call, as
// Envoy's clusters have connections of their own. A client that mixes them on its
// connections is served by grpc-go alone from the second kind of call on.
type Server struct {
	door   *Door
	grpc   *grpc.Server
	calls  *unary.Server
	handed *handed
	mixed  mixedClients

	// connections are those there are, by what is served on them.
	connections *prometheus.GaugeVec

	begin sync.Once
	group sync.WaitGroup // of connections

	mu        sync.Mutex // guards what follows
	listeners map[net.Listener]bool
	stopped   bool
}

// What a connection carries: calls that a request waits for and access logs, or
// whatever grpc-go serves.
const (
	carriesCalls = "calls"
	carriesAll   = "all"
)

// NewServer returns a server that has no service yet. There is one to a door.
func (d *Door) NewServer() *Server {
	s := &Server{
		door: d, grpc: grpc.NewServer(d.serverOptions()...),
		handed:    newHanded(),
		listeners: map[net.Listener]bool{},
	}
	s.connections = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "gatewright_grpc_connections",
		Help: "Connections of the gRPC port, by what they carry: calls (Check, ShouldRateLimit and access logs, served at the least price) or all.",
	}, []string{"carries"})
	for _, c := range []string{carriesCalls, carriesAll} {
		s.connections.WithLabelValues(c)
	}
	d.registerer.MustRegister(s.connections)
	s.calls = unary.New(unary.Options{
		MaxStreams: maxStreams, MaxHeaders: maxHeaders, MaxMessage: maxCall,
		HandshakeTime: d.handshakeTime, KeepaliveTime: keepaliveTime, KeepaliveWait: keepaliveWait,
		Foreign: s.foreign, Panicked: s.panicked,
	})
	return s
}

// RegisterService implements grpc.ServiceRegistrar. A method that has a handler,
// too, must do the same: which of them answers is up to the client's connection.
func (s *Server) RegisterService(desc *grpc.ServiceDesc, implementation any) {
	s.grpc.RegisterService(desc, implementation)
}

// Handle sets who answers a unary method, by its whole name, on connections that
// begin with such a call.
func (s *Server) Handle(method string, h unary.Handler) { s.calls.Handle(method, h) }

// ReadTraces has the trace contexts of such calls read, or not: see unary.Server.
func (s *Server) ReadTraces(on bool) { s.calls.ReadTraces(on) }

// HandleStream sets who takes the messages of a method that has many and one reply, by
// its whole name, on connections that begin with such a call or one of Handle's.
func (s *Server) HandleStream(method string, open func() Stream) {
	s.calls.HandleStream(method, func(c any) unary.Stream {
		from, _ := c.(caller)
		return s.door.bound(open(), from)
	})
}

// Serve serves the connections that a listener accepts until the server is
// stopped, which is no error, or the listener fails. It closes the listener.
func (s *Server) Serve(l net.Listener) error {
	if !s.add(l) {
		return l.Close()
	}
	defer l.Close()
	s.begin.Do(func() {
		s.group.Go(func() { _ = s.grpc.Serve(s.handed) }) // it ends when it is stopped
	})
	for wait := time.Duration(0); ; {
		conn, err := l.Accept()
		switch {
		case err == nil:
			wait = 0
			s.group.Go(func() { s.serve(conn) })
		case s.isStopped():
			return nil
		case !isPassing(err):
			return fmt.Errorf("accepting connections: %w", err)
		default: // as for want of file descriptors
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			s.door.log.Warn("accepting a connection failed; it is tried again", "error", err, "after", wait)
			time.Sleep(wait)
		}
	}
}

// isPassing tells an error that may be over in a moment.
func isPassing(err error) bool {
	var e interface{ Temporary() bool }
	return errors.As(err, &e) && e.Temporary()
}

// serve serves one connection.
func (s *Server) serve(conn net.Conn) {
	var info credentials.AuthInfo
	var from caller
	if s.door.settings.TLS() {
		var err error
		if conn, info, err = s.door.enter(conn); err != nil {
			return // told already
		}
		var refused *refusal
		if from, refused = callerBy(conn.RemoteAddr(), info); refused != nil {
			s.handOver(conn, info) // to where each call is refused, with the reason
			return
		}
	}
	if !s.mixed.have(conn.RemoteAddr()) {
		// One that has not made a call yet counts as one for calls.
		gauge := s.connections.WithLabelValues(carriesCalls)
		gauge.Inc()
		conn = s.calls.Serve(conn, from)
		gauge.Dec()
	}
	if conn != nil {
		s.handOver(conn, info)
	}
}

// handOver gives a connection to grpc-go.
func (s *Server) handOver(conn net.Conn, info credentials.AuthInfo) {
	gauge := s.connections.WithLabelValues(carriesAll)
	gauge.Inc()
	s.handed.give(&entered{Conn: conn, info: info, closed: sync.OnceFunc(gauge.Dec)})
}

// enter makes the handshake.
func (d *Door) enter(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	err := conn.SetDeadline(time.Now().Add(d.handshakeTime))
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	secured, info, err := d.handshake.ServerHandshake(conn)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return secured, info, secured.SetDeadline(time.Time{})
}

// foreign is told of a client that mixes calls of both kinds.
func (s *Server) foreign(client net.Addr, method string) {
	if s.mixed.add(client) {
		s.door.log.Info("a client makes calls of all kinds on one connection, which is served at a higher price; a cluster of their own for Check, ShouldRateLimit and access logs would be cheaper",
			"client", client.String(), "method", quoted(method))
	}
}

func (s *Server) panicked(method string, fault any) {
	s.door.log.Error("answering a call panicked", "method", method, "fault", fault, "stack", string(debug.Stack()))
}

func (s *Server) add(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.listeners[l] = true
	return true
}

func (s *Server) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

func (s *Server) closeListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for l := range s.listeners {
		l.Close() // which ends its Serve
	}
}

// GracefulStop accepts nothing more, and returns when all calls and streams have
// ended. Stop ends its waiting.
func (s *Server) GracefulStop() {
	s.closeListeners()
	var both sync.WaitGroup
	both.Go(s.calls.GracefulStop)
	both.Go(s.grpc.GracefulStop)
	both.Wait()
	s.group.Wait()
}

// Stop ends all connections at once.
func (s *Server) Stop() {
	s.closeListeners()
	s.calls.Stop()
	s.grpc.Stop()
	s.group.Wait()
}

// handed is the listener by which grpc-go gets its connections.
type handed struct {
	conns chan net.Conn
	done  chan struct{}
	close sync.Once
}

func newHanded() *handed {
	return &handed{conns: make(chan net.Conn), done: make(chan struct{})}
}

// give hands a connection to grpc-go, or closes it where that has ended.
func (h *handed) give(conn net.Conn) {
	select {
	case h.conns <- conn:
	case <-h.done:
		conn.Close()
	}
}

// Accept implements net.Listener.
func (h *handed) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handed) Close() error {
	h.close.Do(func() { close(h.done) })
	return nil
}

// Addr implements net.Listener. There is none: a port has several listeners.
func (h *handed) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// entered is a connection that has come through the door.
type entered struct {
	net.Conn
	info   credentials.AuthInfo
	closed func()
}

// Close implements net.Conn.
func (e *entered) Close() error {
	e.closed()
	return e.Conn.Close()
}

// beforehand are the credentials of grpc-go, which sees connections whose
// handshake has been made.
type beforehand struct {
	credentials.TransportCredentials
}

// ServerHandshake tells what the handshake has shown.
func (b beforehand) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	in, ok := conn.(*entered)
	if !ok {
		return nil, nil, fmt.Errorf("a connection of type %T has not come through the door", conn)
	}
	return in, in.info, nil
}

// Clone implements credentials.TransportCredentials.
func (b beforehand) Clone() credentials.TransportCredentials {
	return beforehand{b.TransportCredentials.Clone()}
}

// mixedClients are the hosts whose connections carry calls of both kinds.
type mixedClients struct {
	mu    sync.Mutex
	hosts map[string]bool
}

// maxMixed bounds how many are remembered. Beyond it everybody counts as one.
const maxMixed = 1024

func (m *mixedClients) have(client net.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.hosts) >= maxMixed || m.hosts[hostOf(client)]
}

// add reports whether the client is new.
func (m *mixedClients) add(client net.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hosts == nil {
		m.hosts = map[string]bool{}
	}
	known := m.hosts[hostOf(client)]
	m.hosts[hostOf(client)] = true
	return !known
}
