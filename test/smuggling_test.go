package test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const smuggled = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  go: {endpoints: ["{{.go}}"]}
  nginx: {endpoints: ["{{.nginx}}"]}
  python: {endpoints: ["{{.python}}"]}
auth: {apiKey: {keys: {}}}
limits:
  plenty: {key: [clientIP], tokenBucket: {capacity: 1000000, refill: 1/s}}
routes:
  - {name: go, match: {path: /go/**}, auth: public, limits: [plenty], to: [{backend: go}]}
  - {name: go-closed, match: {path: /go/closed/**}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: go}]}
  - {name: nginx, match: {path: /nginx/**}, auth: public, limits: [plenty], to: [{backend: nginx}]}
  - {name: nginx-closed, match: {path: /nginx/closed/**}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: nginx}]}
  - {name: python, match: {path: /python/**}, auth: public, limits: [plenty], to: [{backend: python}]}
  - {name: python-closed, match: {path: /python/closed/**}, auth: {anyOf: [{apiKey: keys}]}, to: [{backend: python}]}
`

// judged is that both are requests: the inner one has no credential. alone is
// that the inner one is the body of the other.
var judged, alone = []int{200, 401}, []int{200}

// doubtful are requests that two readers may cut at different places. In each,
// POST begins a request for a path that is open to all, and INNER is a whole
// request, for a path that is not, where a reader may see it.
var doubtful = []struct {
	name, bytes string
	want        []int // the statuses of the answers
}{
	{"both lengths, chunked body", "POST\nContent-Length: 6\nTransfer-Encoding: chunked\n\n0\n\nINNER", []int{400}},
	{"both lengths, other order", "POST\nTransfer-Encoding: chunked\nContent-Length: 6\n\n0\n\nINNER", []int{400}},
	{"both lengths, the length hides the rest", "POST\nContent-Length: 100\nTransfer-Encoding: chunked\n\n0\n\nINNER", []int{400}},
	{"two equal lengths", "POST\nContent-Length: 3\nContent-Length: 3\n\nabcINNER", []int{400}},
	{"two lengths", "POST\nContent-Length: 3\nContent-Length: 0\n\nabcINNER", []int{400}},
	{"two lengths, longer last", "POST\nContent-Length: 0\nContent-Length: 3\n\nINNER", []int{400}},
	{"a list of equal lengths", "POST\nContent-Length: 3, 3\n\nabcINNER", []int{400}},
	{"a list of lengths", "POST\nContent-Length: 0, 3\n\nINNER", []int{400}},
	{"a length with a plus", "POST\nContent-Length: +3\n\nabcINNER", []int{400}},
	{"a negative length", "POST\nContent-Length: -3\n\nINNER", []int{400}},
	{"a hexadecimal length", "POST\nContent-Length: 0x3\n\nabcINNER", []int{400}},
	{"a length in words", "POST\nContent-Length: three\n\nINNER", []int{400}},
	{"an empty length", "POST\nContent-Length: \n\nINNER", []int{400}},
	{"a fraction of a length", "POST\nContent-Length: 3.0\n\nabcINNER", []int{400}},
	{"a length with an underscore", "POST\nContent-Length: 0_3\n\nINNER", []int{400}},
	{"a length with spaces inside", "POST\nContent-Length: 0 3\n\nINNER", []int{400}},
	{"a length beyond 64 bits", "POST\nContent-Length: 18446744073709551619\n\nabcINNER", []int{400}},
	{"a length with zeros in front", "POST\nContent-Length: 0000000000000000000003\n\nabcINNER", judged},
	{"a length of GET", "GET\nContent-Length: 3\n\nabcINNER", judged},
	{"a length with a NUL", "POST\nContent-Length: 3\x00\n\nabcINNER", []int{400}},
	{"a length with a vertical tab", "POST\nContent-Length: \v3\n\nabcINNER", []int{400}},

	{"chunked in capitals", "POST\nTransfer-Encoding: CHUNKED\n\n0\n\nINNER", judged},
	{"chunked and a space", "POST\nTransfer-Encoding: chunked \n\n0\n\nINNER", judged},
	{"chunked behind a tab", "POST\nTransfer-Encoding:\tchunked\n\n0\n\nINNER", judged},
	{"chunked behind a vertical tab", "POST\nTransfer-Encoding: \vchunked\n\n0\n\nINNER", []int{400}},
	{"xchunked", "POST\nTransfer-Encoding: xchunked\nContent-Length: 0\n\nINNER", []int{400}},
	{"quoted", "POST\nTransfer-Encoding: \"chunked\"\nContent-Length: 0\n\nINNER", []int{400}},
	{"identity", "POST\nTransfer-Encoding: identity\nContent-Length: 0\n\nINNER", []int{400}},
	{"identity, chunked", "POST\nTransfer-Encoding: identity, chunked\n\n0\n\nINNER", []int{501}},
	{"chunked, identity", "POST\nTransfer-Encoding: chunked, identity\nContent-Length: 0\n\nINNER", []int{400}},
	{"gzip, chunked", "POST\nTransfer-Encoding: gzip, chunked\n\n0\n\nINNER", []int{501}},
	{"chunked twice", "POST\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n0\n\nINNER", []int{501}},
	{"chunked, chunked", "POST\nTransfer-Encoding: chunked, chunked\n\n0\n\nINNER", []int{501}},
	{"chunked and then none", "POST\nTransfer-Encoding: chunked\nTransfer-Encoding: identity\n\n0\n\nINNER", []int{501}},
	{"an empty coding", "POST\nTransfer-Encoding: \nContent-Length: 0\n\nINNER", []int{400}},
	{"a coding in a parameter", "POST\nTransfer-Encoding: chunked;q=1\nContent-Length: 0\n\nINNER", []int{400}},
	{"a space before the colon of the coding", "POST\nTransfer-Encoding : chunked\nContent-Length: 0\n\nINNER", []int{400}},
	{"a space before the colon of the length", "POST\nContent-Length : 3\n\nabcINNER", []int{400}},
	{"a tab in front of the coding", "POST\nX: a\n\tTransfer-Encoding: chunked\nContent-Length: 0\n\nINNER", judged},
	{"a folded coding", "POST\nTransfer-Encoding:\n chunked\n\n0\n\nINNER", judged},
	{"a folded length", "POST\nContent-Length:\n 3\n\nabcINNER", judged},
	{"a folded header", "POST\nX: a\n b\nContent-Length: 3\n\nabcINNER", judged},
	{"a coding behind a NUL", "POST\nTransfer-Encoding: \x00chunked\nContent-Length: 0\n\nINNER", []int{400}},
	{"a coding with an underscore", "POST\nTransfer_Encoding: chunked\nContent-Length: 0\n\nINNER", []int{400}},
	{"a coding behind a bare return", "POST\nX: a\rTransfer-Encoding: chunked\nContent-Length: 0\n\nINNER", judged},
	{"a length behind a bare return", "POST\nX: a\rContent-Length: 0\n\nINNER", judged},
	{"a coding behind a bare feed", "POST\nX: aLFTransfer-Encoding: chunked\n\n0\n\nINNER", judged},
	{"HTTP/1.0 with chunks", "POST1.0\nTransfer-Encoding: chunked\n\n0\n\nINNER", []int{426}},
	{"HTTP/1.0 with both", "POST1.0\nTransfer-Encoding: chunked\nContent-Length: 6\nConnection: keep-alive\n\n0\n\nINNER", []int{400}},

	{"bare feeds", "GETLFLFINNER", judged},
	{"bare feeds and a body", "POSTLFContent-Length: 3LFLFabcINNER", judged},
	{"a bare return at the end", "GET\n\rINNER", []int{400}},
	{"empty lines in front", "\n\n\nGET\n\nINNER", judged},

	{"chunks with extensions", "POST\nTransfer-Encoding: chunked\n\n3;a=b\nabc\n0;c=\"d\"\n\nINNER", judged},
	{"an extension with a bare feed", "POST\nTransfer-Encoding: chunked\n\n3;aLFabc\n0\n\nINNER", []int{400}},
	{"an extension that is a size", "POST\nTransfer-Encoding: chunked\n\n3;\n5\nabc\n0\n\nINNER", judged},
	{"a chunk size beyond 64 bits", "POST\nTransfer-Encoding: chunked\n\n10000000000000003\nabc\n0\n\nINNER", []int{400}},
	{"a chunk size of many digits", "POST\nTransfer-Encoding: chunked\n\n00000000000000000000000000000003\nabc\n0\n\nINNER", judged},
	{"a negative chunk size", "POST\nTransfer-Encoding: chunked\n\n-3\nabc\n0\n\nINNER", []int{400}},
	{"a chunk size with a plus", "POST\nTransfer-Encoding: chunked\n\n+3\nabc\n0\n\nINNER", []int{400}},
	{"a chunk size with 0x", "POST\nTransfer-Encoding: chunked\n\n0x3\nabc\n0\n\nINNER", []int{400}},
	{"a chunk size with a space", "POST\nTransfer-Encoding: chunked\n\n3 \nabc\n0\n\nINNER", judged},
	{"a chunk size behind a space", "POST\nTransfer-Encoding: chunked\n\n 3\nabc\n0\n\nINNER", []int{400}},
	{"a chunk longer than it says", "POST\nTransfer-Encoding: chunked\n\n3\nabcdef\n0\n\nINNER", judged},
	{"a chunk with a bare feed", "POST\nTransfer-Encoding: chunked\n\n3LFabc\n0\n\nINNER", []int{400}},
	{"a chunk that ends in a bare feed", "POST\nTransfer-Encoding: chunked\n\n3\nabcLF0\n\nINNER", judged},
	{"an end in bare feeds", "POST\nTransfer-Encoding: chunked\n\n0LFLFINNER", []int{400}},
	{"a length in the trailers", "POST\nTransfer-Encoding: chunked\n\n0\nContent-Length: 100\n\nINNER", judged},
	{"a coding in the trailers", "POST\nTransfer-Encoding: chunked\n\n0\nTransfer-Encoding: chunked\n\nINNER", judged},

	{"two requests", "GET\n\nINNER", judged},
	{"a body and a request", "POST\nContent-Length: 3\n\nabcINNER", judged},
	{"a request in a body", "POST\nContent-Length: LENGTH\n\nINNER", alone},
	{"a request in a chunk", "POST\nTransfer-Encoding: chunked\n\nHEX\nINNER\n0\n\n", alone},
	{"a request in a header", "GET\nX: a\r\r\nINNER\n\n", []int{400}},
	{"an expectation", "POST\nExpect: 100-continue\nContent-Length: LENGTH\n\nINNER", []int{100, 200}},
	{"HTTP/0.9", "GET0.9", []int{426}},
	{"HTTP/0.9 with the version", "GET9\n\nINNER", []int{426}},
	{"HTTP/1.2", "GET1.2\n\nINNER", []int{426}},
	{"HTTP/2.0 in text", "GET2.0\n\nINNER", []int{426}},
	{"a line with two paths", "GET2PATHS\n\nINNER", []int{400}},
	{"a line with a tab", "GETTAB\n\nINNER", judged},
	{"a method with a colon", "GE:T\n\nINNER", []int{400}},
	{"h2c upgrade", "GET\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\n\nINNER", judged},
	{"h2c upgrade that hides its settings", "GET\nConnection: Upgrade\nUpgrade: h2c\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\n\nINNER", judged},
	{"websocket upgrade", "GET\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\nINNER", []int{403}},
	{"the length as hop by hop", "POST\nConnection: Content-Length\nContent-Length: LENGTH\n\nINNER", alone},
	{"the coding as hop by hop", "POST\nConnection: Transfer-Encoding\nTransfer-Encoding: chunked\n\nHEX\nINNER\n0\n\n", alone},
	{"the host as hop by hop", "GET\nConnection: Host\n\nINNER", []int{400}},
}

// spelt are the bytes of a doubtful request for one upstream.
func spelt(bytes, upstream string) string {
	inner := "GET /" + upstream + "/closed/x HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"
	path := " /" + upstream + "/x"
	return strings.NewReplacer(
		"GET2PATHS", "GET"+path+" /"+upstream+"/closed/x HTTP/1.1\r\nHost: a", "GETTAB", "GET\t/"+upstream+"/x HTTP/1.1\r\nHost: a",
		"GET0.9", "GET"+path+"\r\n", "GET1.2", "GET"+path+" HTTP/1.2\r\nHost: a", "GET2.0", "GET"+path+" HTTP/2.0\r\nHost: a", "GET9", "GET"+path+" HTTP/0.9\r\nHost: a",
		"POST1.0", "POST"+path+" HTTP/1.0\r\nHost: a", "POSTLF", "POST"+path+" HTTP/1.1\nHost: a\n", "GETLFLF", "GET"+path+" HTTP/1.1\nHost: a\n\n",
		"GE:T", "GE:T"+path+" HTTP/1.1\r\nHost: a", "GET", "GET"+path+" HTTP/1.1\r\nHost: a", "POST", "POST"+path+" HTTP/1.1\r\nHost: a",
		"INNER", inner, "HEX", hexadecimal(len(inner)), "LENGTH", decimal(len(inner)), "LF", "\n", "\n", "\r\n",
	).Replace(bytes)
}

// TestSmuggling: whatever a request's bytes may be taken for, a backend gets one
// request for each that was judged, cut where the gateway has cut it, and written
// so that there is no doubt; and nobody gets the answer to another's.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	servers, values := upstreams(t), map[string]string{}
	for name, u := range servers {
		values[name] = u.addr
	}
	g := start(t, setup{config: smuggled, values: values})
	for name, u := range servers {
		for _, c := range doubtful {
			if got := g.statuses(spelt(c.bytes, name), len(c.want)); !slices.Equal(got, c.want) {
				t.Errorf("%s, %s: answered with %v, want %v", name, c.name, got, c.want)
			}
			after := "/" + name + "/after/" + decimal(u.count())
			if r := get(t, g.url("public", after)); r.Body != "GET "+after {
				t.Errorf("%s, %s: the answer to the request after it is %d %q", name, c.name, r.Status, r.Body)
			}
		}
		u.cleanlyAsked(t, g, name)
	}
}

// cleanlyAsked checks what has reached an upstream: no request for what is
// closed, and none that the gateway has not judged and sent there.
func (u upstream) cleanlyAsked(t *testing.T, g *gateway, name string) {
	t.Helper()
	if requests := u.requests(); strings.Contains(requests, "closed") {
		t.Errorf("%s has taken a smuggled request:\n%s", name, requests)
	}
	get(t, g.url("public", "/"+name+"/last")).ok(t)
	g.logged("/" + name + "/last")
	sent := 0
	for _, line := range g.accessLog() {
		if line["backend"] == name && line["upstream"] != nil {
			sent++
			if line["policy"] == nil {
				t.Errorf("%s: sent without a judgement: %v", name, line)
			}
		}
	}
	if n := u.count(); n > sent {
		t.Errorf("%s has taken %d requests, and was sent %d", name, n, sent)
	}
	for _, wire := range u.wires() {
		wire = strings.ReplaceAll(wire, "\r\n", "\x00")
		if strings.ContainsAny(wire, "\r\n") || strings.Contains(wire, "\x00 ") || strings.Contains(wire, "\x00\t") {
			t.Errorf("%s: bare returns, bare feeds or folded lines have come through", name)
		}
		for head := range strings.SplitSeq(strings.ToLower(wire), "\x00\x00") {
			if n := strings.Count(head, "\x00content-length:") + strings.Count(head, "\x00transfer-encoding:"); n > 1 {
				t.Errorf("%s: more than one length: %q", name, head)
			}
		}
	}
}

// statuses sends bytes and reads so many answers.
func (g *gateway) statuses(request string, answers int) []int {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.listeners["public"])
	if err != nil {
		g.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		g.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		g.t.Fatal(err)
	}
	var all []int
	for r := bufio.NewReader(conn); len(all) < answers; {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			break
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			break
		}
		all = append(all, resp.StatusCode)
	}
	return all
}

func hexadecimal(n int) string { return strconv.FormatInt(int64(n), 16) }
func decimal(n int) string     { return strconv.Itoa(n) }
