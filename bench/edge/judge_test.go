package main

import (
	"bufio"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// TestWhoeverDoesNotHoldToThePolicyIsNotMeasured: a gateway that is laxer by one thing
// is found out, each by the probe that is there for it.
func TestWhoeverDoesNotHoldToThePolicyIsNotMeasured(t *testing.T) {
	t.Parallel()
	issuer, err := rig.NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	all, err := probes(issuer)
	if err != nil {
		t.Fatal(err)
	}
	for _, lax := range all {
		b := &bench{issuer: issuer, probes: all}
		answered := map[string]string{}
		for _, p := range all {
			answered[string(p.request)] = fmt.Sprint(p.want[0], " ", p.told)
		}
		row := func(limited string) *row {
			c := dialed(t, scripted(t, maps.Clone(answered), limited))
			return &row{what: "a gateway", clients: []*client{c}, identity: true, counted: true}
		}
		if err := b.judge(row("429 no")); err != nil {
			t.Fatal(err)
		}
		if err := b.judge(row("200 yes")); err == nil || !strings.Contains(err.Error(), limitedUser) {
			t.Errorf("nobody is limited, and it is said: %v", err)
		}
		answered[string(lax.request)] = "200 somebody"
		if err := b.judge(row("429 no")); err == nil || !strings.Contains(err.Error(), lax.what) {
			t.Errorf("%s: passes as somebody, and it is said: %v", lax.what, err)
		}
	}
}

// dialed is a connection that is closed with the test.
func dialed(t *testing.T, addr string) *client {
	t.Helper()
	c, err := dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.conn.Close() })
	return c
}

// scripted is the address of a server with answers, as "STATUS BODY", to some requests
// and one to all others.
func scripted(t *testing.T, answers map[string]string, other string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		in := bufio.NewReader(conn)
		for {
			request := ""
			for !strings.HasSuffix(request, "\r\n\r\n") {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				request += line
			}
			answer, ok := answers[request]
			if !ok {
				answer = other
			}
			status, body, _ := strings.Cut(answer, " ")
			if _, err := fmt.Fprintf(conn, "HTTP/1.1 %s X\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body); err != nil {
				return
			}
		}
	}()
	return l.Addr().String()
}

// TestTheBackendTellsAllThatItWasTold: of a header that is there twice, both.
func TestTheBackendTellsAllThatItWasTold(t *testing.T) {
	t.Parallel()
	app, err := startBackend()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = app.Close() }()
	c := dialed(t, app.Addr().String())
	headers := []string{"x-user-id: u", userHeader + ": v", roleHeader + ": r"}
	for path, want := range map[string]string{toldPath: "u,v r - -", "/orders": "u,v"} {
		status, err := c.exchange(get(path, headers...))
		if err != nil || status != http.StatusOK || string(c.body) != want {
			t.Errorf("%s: %d %q, %v; want %q", path, status, c.body, err, want)
		}
	}
}
