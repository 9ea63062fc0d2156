package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// patience is how long an answer may take, and a gateway until it serves.
const patience = time.Minute

// request is one, as bytes, and the user that the backend must be told of, or nobody.
type request struct {
	bytes []byte
	user  string
}

// newRequest is one with a token, as browsers send it.
func newRequest(token, user string) request {
	return request{user: user, bytes: get("/orders/17?page=2", "Authorization: Bearer "+token)}
}

// get is a request with a browser's headers and some more.
func get(path string, headers ...string) []byte {
	out := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: api.example.com\r\n"+
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: application/json\r\n"+
		"Accept-Language: en-GB,en;q=0.5\r\n", path)
	for _, header := range headers {
		out = append(append(out, header...), "\r\n"...)
	}
	return append(out, "\r\n"...)
}

// client is a connection on which one request is made after the other.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	body []byte
}

func dial(addr string) (*client, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return &client{conn: conn, in: bufio.NewReaderSize(conn, 16<<10)}, nil
}

// ask makes a request. An error is an answer that is not the one that is wanted, too.
func (c *client) ask(r request) error {
	status, err := c.exchange(r.bytes)
	if err != nil {
		return err
	}
	if status != 200 || string(c.body) != r.user {
		return fmt.Errorf("answered with %d and %q, not for user %q", status, c.body, r.user)
	}
	return nil
}

// exchange makes a request and reads its answer.
func (c *client) exchange(request []byte) (status int, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, fmt.Errorf("asking: %w", err)
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, fmt.Errorf("asking: %w", err)
	}
	if status, err = c.answer(); err != nil {
		return 0, fmt.Errorf("reading an answer: %w", err)
	}
	return status, nil
}

// answer reads one, of which the body is kept until the next.
func (c *client) answer() (status int, err error) {
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	if len(line) < len("HTTP/1.1 200") {
		return 0, fmt.Errorf("it begins with %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, fmt.Errorf("it begins with %q", line)
	}
	length := -1
	for {
		if line, err = c.line(); err != nil {
			return 0, err
		}
		if len(line) == 0 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, fmt.Errorf("it says %q", line)
			}
		}
	}
	if length < 0 {
		return 0, errors.New("it does not say how long it is")
	}
	c.body = append(c.body[:0], make([]byte, length)...)
	_, err = io.ReadFull(c.in, c.body)
	return status, err
}

func (c *client) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}
