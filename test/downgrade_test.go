package test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sync/errgroup"
)

// TestDowngrade: what HTTP/2 can say in its frames and HTTP/1.1 cannot becomes
// no second request, no header and no other length on the way to a backend that
// speaks HTTP/1.1.
func TestDowngrade(t *testing.T) {
	t.Parallel()
	servers, values := upstreams(t), map[string]string{}
	for name, u := range servers {
		values[name] = u.addr
	}
	g := start(t, setup{config: smuggled, values: values})
	var atOnce errgroup.Group
	atOnce.SetLimit(16)
	inner := "GET /%s/closed/x HTTP/1.1\r\nHost: a\r\n\r\n"
	for name := range servers {
		inner := fmt.Sprintf(inner, name)
		post := func(path string, more ...field) []field {
			return append([]field{{":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", path}}, more...)
		}
		open := "/" + name + "/x"
		for what, c := range map[string]struct {
			fields []field
			body   string
			want   string // "" is any refusal: a 400, a reset, the end of the connection
		}{
			"no more than that":            {post(open), "abc", "200"},
			"a length":                     {post(open, field{"content-length", "3"}), "abc", "200"},
			"a request in the body":        {post(open), inner, "200"},
			"a length below the body":      {post(open, field{"content-length", "0"}), inner, ""},
			"a length above the body":      {post(open, field{"content-length", "100"}), "abc", ""},
			"two lengths":                  {post(open, field{"content-length", "3"}, field{"content-length", "0"}), "abc", ""},
			"a list of lengths":            {post(open, field{"content-length", "3, 3"}), "abc", ""},
			"a length with a plus":         {post(open, field{"content-length", "+3"}), "abc", ""},
			"a coding":                     {post(open, field{"transfer-encoding", "chunked"}), "0\r\n\r\n" + inner, ""},
			"a coding and a length":        {post(open, field{"transfer-encoding", "chunked"}, field{"content-length", "3"}), "abc", ""},
			"connection":                   {post(open, field{"connection", "close"}), "", ""},
			"keep-alive":                   {post(open, field{"keep-alive", "1"}), "", ""},
			"upgrade":                      {post(open, field{"upgrade", "h2c"}), "", ""},
			"proxy-connection":             {post(open, field{"proxy-connection", "close"}), "", ""},
			"te other than trailers":       {post(open, field{"te", "chunked"}), "abc", ""},
			"a value with a line":          {post(open, field{"x", "a\r\nTransfer-Encoding: chunked"}), "abc", ""},
			"a value with a request":       {post(open, field{"x", "a\r\n\r\n" + inner}), "abc", ""},
			"a value with a feed":          {post(open, field{"x", "a\nb: c"}), "abc", ""},
			"a value with a return":        {post(open, field{"x", "a\rb: c"}), "abc", ""},
			"a value with a NUL":           {post(open, field{"x", "a\x00b"}), "abc", ""},
			"a name with a colon":          {post(open, field{"x: y", "a"}), "abc", ""},
			"a name with a line":           {post(open, field{"x: y\r\nz", "a"}), "abc", ""},
			"a name with a space":          {post(open, field{"x y", "a"}), "abc", ""},
			"a name in capitals":           {post(open, field{"Content-Length", "3"}), "abc", ""},
			"a name with an underscore":    {post(open, field{"content_length", "3"}), "abc", ""},
			"an empty name":                {post(open, field{"", "a"}), "abc", ""},
			"a path with a space":          {post(open + " HTTP/1.1"), "", ""},
			"a path with a request":        {post(open + " HTTP/1.1\r\nHost: a\r\n\r\n" + inner), "", ""},
			"a path with a tab":            {post(open + "\tHTTP/1.1"), "", ""},
			"a path with a URL":            {post("http://b" + open), "", ""},
			"an empty path":                {post(""), "", ""},
			"two paths":                    {post(open, field{":path", "/" + name + "/closed/x"}), "", ""},
			"a late pseudo-header":         {append(post(open, field{"x", "a"}), field{":path", "/" + name + "/closed/x"}), "", ""},
			"an unknown pseudo-header":     {post(open, field{":x", "a"}), "", ""},
			"a status":                     {post(open, field{":status", "200"}), "", ""},
			"a method with a request":      {[]field{{":method", "GET " + open + " HTTP/1.1\r\n\r\n"}, {":scheme", "http"}, {":authority", "a"}, {":path", open}}, "", ""},
			"a method with a space":        {[]field{{":method", "GET /" + name + "/closed/x"}, {":scheme", "http"}, {":authority", "a"}, {":path", open}}, "", ""},
			"no path":                      {[]field{{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}}, "", ""},
			"no host at all":               {[]field{{":method", "GET"}, {":scheme", "http"}, {":path", open}}, "", ""},
			"a scheme with a request":      {[]field{{":method", "GET"}, {":scheme", "http://a/x HTTP/1.1\r\n\r\n"}, {":authority", "a"}, {":path", open}}, "", ""},
			"a host with a line":           {[]field{{":method", "GET"}, {":scheme", "http"}, {":authority", "a\r\nX: y"}, {":path", open}}, "", ""},
			"a host with a user":           {[]field{{":method", "GET"}, {":scheme", "http"}, {":authority", "b@a"}, {":path", open}}, "", ""},
			"another host header":          {post(open, field{"host", "b"}), "", "200"},
			"two hosts":                    {post(open, field{":authority", "b"}), "", ""},
			"a tunnel of text":             {[]field{{":method", "CONNECT"}, {":authority", "a:80"}}, inner, ""},
			"a tunnel with a protocol":     {[]field{{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"}, {":authority", "a"}, {":path", open}}, "", ""},
			"a tunnel of another protocol": {[]field{{":method", "CONNECT"}, {":protocol", "x\r\ny"}, {":scheme", "http"}, {":authority", "a"}, {":path", open}}, "", ""},
		} {
			atOnce.Go(func() error { // Envoy takes a second to close a connection
				got := g.overHTTP2(c.fields, c.body)
				status, _ := strconv.Atoi(got)
				if got != c.want && (c.want != "" || status != 0 && status < 400) {
					t.Errorf("%s, %s: %s, want %q", name, what, got, c.want)
				}
				after := "/" + name + "/after/" + url.PathEscape(what)
				if r, err := try(http.MethodGet, g.url("public", after)); err != nil || r.Body != "GET "+after {
					t.Errorf("%s, %s: the answer to the request after it is %d %q %v", name, what, r.Status, r.Body, err)
				}
				return nil
			})
		}
	}
	_ = atOnce.Wait() // it has told the test
	for name, u := range servers {
		u.cleanlyAsked(t, g, name)
		for _, wire := range u.wires() {
			if strings.Contains(strings.ToLower(wire), "host: b\r\n") {
				t.Error("the backend sees another host than the one that was judged")
			}
		}
	}
}

// overHTTP2 makes one request in frames, and returns its status, or in words
// what it was refused by.
func (g *gateway) overHTTP2(fields []field, body string) string {
	g.t.Helper()
	conn, err := net.Dial("tcp", g.listeners["public"])
	if err != nil {
		g.t.Error(err)
		return ""
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		g.t.Error(err)
		return ""
	}
	var block, out bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}) // a buffer takes all
	}
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, conn)
	framer.AllowIllegalWrites = true
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = framer.WriteSettings()
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: body == ""})
	if body != "" {
		_ = framer.WriteData(1, true, []byte(body))
	}
	if _, err := io.Copy(conn, &out); err != nil {
		return "end: " + err.Error() // it was refused before all was written
	}
	for {
		frame, err := framer.ReadFrame()
		switch f := frame.(type) {
		case nil:
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				g.t.Errorf("no answer to %q", fields)
			}
			return "end: " + fmt.Sprint(err)
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return "reset: " + f.ErrCode.String()
		case *http2.GoAwayFrame:
			return "end: " + f.ErrCode.String()
		}
	}
}
