package unary

import (
	"io"
	"net"
	"os"
	"syscall"
)

// socket reads and writes a connection that is a socket, by calls to the system of its
// own. One goroutine at a time reads, and one writes.
type socket struct {
	raw         syscall.RawConn
	read, write transfers
}

// transfers is one direction. What it does with the file is one function for all of its
// transfers, and so needs no memory for each.
type transfers struct {
	once  func(fd uintptr) (done bool)
	data  []byte
	n     int
	errno syscall.Errno
}

// socketOf is the socket that a connection is, nil where it is anything else. It goes
// by the types of those that are: grpc-go's TLS connections are a syscall.Conn, too,
// that of what is below them, and what is written there goes out as it is.
func socketOf(nc net.Conn) *socket {
	var file syscall.Conn
	switch nc := nc.(type) {
	case *net.TCPConn:
		file = nc
	case *net.UnixConn:
		file = nc
	default:
		return nil
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw}
	s.read.once = func(fd uintptr) bool {
		s.read.n, s.read.errno = readSocket(fd, s.read.data)
		return s.read.errno != syscall.EAGAIN
	}
	s.write.once = func(fd uintptr) bool {
		n, errno := writeSocket(fd, s.write.data)
		s.write.n, s.write.errno = s.write.n+n, errno
		s.write.data = s.write.data[n:]
		return errno != syscall.EAGAIN && (errno != 0 || len(s.write.data) == 0)
	}
	return s
}

// Read implements io.Reader, as the connection does.
func (s *socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.read.data = p
	err := s.raw.Read(s.read.once)
	s.read.data = nil
	switch {
	case err != nil:
		return 0, err
	case s.read.errno != 0:
		return 0, os.NewSyscallError("read", s.read.errno)
	case s.read.n == 0:
		return 0, io.EOF
	default:
		return s.read.n, nil
	}
}

// Write implements io.Writer, as the connection does.
func (s *socket) Write(p []byte) (int, error) {
	s.write.data, s.write.n, s.write.errno = p, 0, 0
	err := s.raw.Write(s.write.once)
	s.write.data = nil
	if err == nil && s.write.errno != 0 {
		err = os.NewSyscallError("write", s.write.errno)
	}
	return s.write.n, err
}

// writeAtOnce writes what there is room for, and waits for none. A fault is left to be
// found by who writes the rest.
func (s *socket) writeAtOnce(p []byte) (n int) {
	_ = s.raw.Write(func(fd uintptr) bool {
		n, _ = writeSocket(fd, p)
		return true // whether there was room or not
	})
	return n
}
