package floods

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// HTTP1 are the attacks by HTTP/1.1, or without a word of it.
func HTTP1() []Attack {
	head, post := "GET / HTTP/1.1\r\nHost: a\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
	cookies := strings.Repeat("Cookie: "+strings.Repeat("a=b; ", 100)+"\r\n", 200)
	var many strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&many, "X-%d: a\r\n", i)
	}
	return []Attack{
		{"connections that do nothing", true, 500, inBuffers, 0, text("", "", time.Second)},
		{"headers that never end", true, 100, inBuffers, 6, text(head, "X: a\r\n", 50*time.Millisecond)},
		{"bodies that never end", true, 100, inBuffers, 1, text(post, "a", 50*time.Millisecond)},
		{"bodies that stand still", true, 100, inBuffers, 0, text(post, "", time.Second)},
		{"long headers", false, 50, inOne, 8 * kib, text(head, "X: "+strings.Repeat("a", 8<<10)+"\r\n", time.Millisecond)},
		{"many cookies", false, 50, inOne, 100 * kib, text(head+cookies+"\r\n", "", time.Second)},
		{"many headers", false, 50, inOne, 20 * kib, text(head+many.String()+"\r\n", "", time.Second)},
		{"small headers", false, 50, inOne, 60 * kib, text(head+strings.Repeat("a:\r\n", 15000)+"\r\n", "", time.Second)},
	}
}

// text is an attack in HTTP/1.1: bytes, and then others again and again, until the
// gateway closes the connection. What it answers is read.
func text(first, again string, pause time.Duration) func(addr string, pace func()) error {
	return func(addr string, pace func()) error {
		pace()
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		ended := make(chan error, 1)
		go func() { ended <- untilClosed(conn) }()
		if _, err := io.WriteString(conn, first); err != nil {
			return <-ended
		}
		for {
			select {
			case err := <-ended:
				return err
			case <-time.After(pause):
				if again == "" {
					continue
				}
				pace()
				if _, err := io.WriteString(conn, again); err != nil {
					return <-ended
				}
			}
		}
	}
}

// untilClosed reads all, and is nil when the other side has closed.
func untilClosed(conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, conn)
	return unlessLasting(err)
}
