package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
)

// nobody is what the backend answers of a header that it was not sent, as of the user.
const nobody = "-"

// toldPath is the path of requests that are answered with all that the backend was
// told.
const toldPath = "/told"

// tells are the headers that it answers with to those, with a space between their
// values; the first is all that it answers with to others.
var tells = []string{userHeader, roleHeader, tenantHeader, "Authorization"}

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
	values := make([][]byte, len(tells))
	var body, out []byte
	for {
		n, err := told(in, values)
		if err != nil {
			return
		}
		body = append(body[:0], bytes.Join(values[:n], []byte(" "))...)
		out = fmt.Appendf(out[:0], "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

// told reads a request, and sets the first n of the values to those of its headers:
// one that is there twice has both.
func told(in *bufio.Reader, values [][]byte) (n int, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	n = 1
	if bytes.HasPrefix(line, []byte("GET "+toldPath+" ")) {
		n = len(tells)
	}
	for i := range n {
		values[i] = append(values[i][:0], nobody...)
	}
	for {
		if line, err = in.ReadSlice('\n'); err != nil {
			return 0, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			return n, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		for i, header := range tells[:n] {
			if !bytes.EqualFold(name, []byte(header)) {
				continue
			}
			if string(values[i]) == nobody {
				values[i] = values[i][:0]
			} else {
				values[i] = append(values[i], ',')
			}
			values[i] = append(values[i], bytes.TrimSpace(value)...)
		}
	}
}
