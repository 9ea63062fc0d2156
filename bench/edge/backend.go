package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
)

// nobody is what the backend answers to a request that names no user.
const nobody = "-"

// backend answers every request with the user that it was told of, so that a client
// sees whether the gateway has told it. It knows no more of HTTP than requests without
// a body need: it has the same machine as what is measured.
type backend struct{ net.Listener }

func startBackend() (backend, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return backend{}, fmt.Errorf("starting a backend: %w", err)
	}
	b := backend{l}
	go b.serve()
	return b, nil
}

// serve ends with the listener.
func (b backend) serve() {
	for {
		conn, err := b.Accept()
		if err != nil {
			return
		}
		go answer(conn)
	}
}

// answer serves one connection until Envoy closes it.
func answer(conn net.Conn) {
	defer func() { _ = conn.Close() }() // nobody is left to be told
	in := bufio.NewReaderSize(conn, 16<<10)
	var user, out []byte
	for {
		user = append(user[:0], nobody...)
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return
			}
			line = bytes.TrimRight(line, "\r\n")
			if len(line) == 0 {
				break
			}
			if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte(userHeader)) {
				user = append(user[:0], bytes.TrimSpace(value)...)
			}
		}
		out = fmt.Appendf(out[:0], "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(user), user)
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}
