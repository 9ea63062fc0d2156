package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"
)

// answerTimeout is when a request has failed.
const answerTimeout = 10 * time.Second

// client is one kept-alive HTTP/1.1 connection, opened when it is needed. It is
// not net/http's because that takes more CPU for a request than Envoy does, on
// the cores that Envoy is measured on.
type client struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
	body []byte
}

// answer is what came back. Its body is good until the next request.
type answer struct {
	status int
	body   []byte
}

func newClient(addr string) *client { return &client{addr: addr} }

// ask sends a request and reads its answer. After an error the connection is
// closed, and the next request opens another.
func (c *client) ask(request []byte) (answer, error) {
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", c.addr, answerTimeout)
		if err != nil {
			return answer{}, fmt.Errorf("connecting to Envoy: %w", err)
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	a, last, err := c.exchange(request)
	if err != nil {
		err = fmt.Errorf("asking %.60q: %w", request, err)
	}
	if err != nil || last {
		c.close()
	}
	return a, err
}

// exchange tells also whether the answer is the last one on its connection.
func (c *client) exchange(request []byte) (_ answer, last bool, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return answer{}, false, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return answer{}, false, err
	}
	head, err := c.readHead()
	if err != nil {
		return answer{}, false, err
	}
	c.body = slices.Grow(c.body[:0], head.length)[:head.length]
	if _, err := io.ReadFull(c.in, c.body); err != nil {
		return answer{}, false, err
	}
	return answer{head.status, c.body}, head.last, nil
}

// head is what must be known of an answer to find its end.
type head struct {
	status, length int
	last           bool
}

func (c *client) readHead() (h head, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return h, err
	}
	if len(line) < 12 {
		return h, fmt.Errorf("the answer begins with %q", line)
	}
	if h.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return h, fmt.Errorf("the answer begins with %q", line)
	}
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return h, err
		}
		name, value, found := bytes.Cut(bytes.TrimSpace(line), []byte(": "))
		switch {
		case !found:
			return h, nil
		case is(name, "content-length"):
			if h.length, err = strconv.Atoi(string(value)); err != nil {
				return h, fmt.Errorf("the answer's length: %w", err)
			}
		case is(name, "transfer-encoding"):
			return h, errors.New("the answer comes in chunks")
		case is(name, "connection"):
			h.last = is(value, "close")
		}
	}
}

func is(b []byte, lower string) bool { return bytes.EqualFold(b, []byte(lower)) }

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close() // only read from
		c.conn = nil
	}
}

const (
	// pollPause goes between two requests of one who waits for a change: short
	// against what is measured, and long enough to leave the cores to those
	// that make the change.
	pollPause = 500 * time.Microsecond
	// patience is when a change that is waited for will not come.
	patience = time.Minute
)

// until asks again and again, until done says so or returns an error. It returns
// when the answer came that it was content with.
func (c *client) until(ctx context.Context, request []byte, done func(answer) (bool, error)) (time.Time, error) {
	deadline := time.Now().Add(patience)
	for {
		a, err := c.ask(request)
		now := time.Now()
		if err != nil {
			return now, err
		}
		ok, err := done(a)
		switch {
		case ok || err != nil:
			return now, err
		case ctx.Err() != nil:
			return now, ctx.Err()
		case now.After(deadline):
			return now, fmt.Errorf("waiting for the answer to %.60q: after %v it still is status %d, body %.60q", request, patience, a.status, a.body)
		}
		time.Sleep(pollPause)
	}
}

// untilRight waits for the right answer, through whatever others.
func (c *client) untilRight(ctx context.Context, q question) (time.Time, error) {
	return c.until(ctx, q.request, func(a answer) (bool, error) { return q.check(a) == nil, nil })
}
