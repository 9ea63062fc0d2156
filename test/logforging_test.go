package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// evilTexts are what somebody would write into a log who wants it to say
// something else, or to steer the terminal or the program that reads it.
var evilTexts = []string{
	`"}`, `\"`, `\`, `","status":200,"x":"`, `{"status":200}`, `"}` + "\n" + `{"status":200}`, "\x1b[2J\x1b]0;x\x07", "\x7f", "\x00", "\u2028\u2029\u0085",
	"\xff\xfe", "\xc0\xaf", "\xed\xa0\x80", "a\r\nX-Injected: 1", "a\n{}", "%0d%0a{}", "%REQ(AUTHORIZATION)%", "%%", "\u202egnp.exe", "\ufeff",
	strings.Repeat("x", 40<<10), strings.Repeat(`"`, 20<<10), strings.Repeat("\xff", 10<<10),
}

const forgeable = identity + `
  - {name: tokens, match: {path: /tokens/**}, auth: {anyOf: [{jwt: main}]}, to: [{backend: app}]}
  - {name: rewritten, match: {path: /rewritten/**}, auth: public, rewrite: {path: /public/x}, to: [{backend: app}]}
`

// TestNoLineIsForged: whatever stands in a method, a path, a host, a header, a
// claim, of a request that passes or is refused, each request is one line of the
// access log, one JSON object, no member twice, of bounded length and without a
// control character.
func TestNoLineIsForged(t *testing.T) {
	t.Parallel()
	p := idp(t)
	g := start(t, setup{
		config: strings.Replace(forgeable, "  apiKey:\n", jwtMain+"      forward: {sub: X-User-ID}\n  apiKey:\n", 1),
		values: map[string]string{"app": backend(t, "app").Addr(), "issuer": p.Issuer()},
	})
	g.raw("public", "GET /public/first HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").ok(t)
	members := keysOf(g.logged("/public/first"))
	refused, sent := 1, 1
	send := func(request string) {
		sent++
		if r, err := g.tryRaw("public", request); err != nil || r.Status == 400 || r.Status == 431 {
			refused++ // perhaps before there was anything to log
		}
	}
	for _, evil := range evilTexts {
		for _, path := range []string{"/public/1", "/admin/1", "/nowhere", "/rewritten/1"} {
			send("GET " + path + " HTTP/1.1\r\nHost: a\r\nUser-Agent: " + evil + "\r\nX-API-Key: " + evil + "\r\nX-Request-ID: " + evil + "\r\nConnection: close\r\n\r\n")
			send("GET " + path + evil + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			send("GET " + path + "?" + evil + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			send("GET " + path + " HTTP/1.1\r\nHost: " + evil + "\r\nConnection: close\r\n\r\n")
			send("GET" + evil + " " + path + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			send("GET " + path + " HTTP/1.1\r\nHost: a\r\n" + evil + ": a\r\nTraceparent: " + evil + "\r\nX-Forwarded-For: " + evil + "\r\nConnection: close\r\n\r\n")
		}
		if len(evil) > 4096 {
			evil = evil[:4096] // no token is longer than 8 KiB
		}
		signed := p.Token(map[string]any{"sub": "u" + strings.ToValidUTF8(evil, "?"), "tenant": strings.ToValidUTF8(evil, "?")})
		send("GET /tokens/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + signed + "\r\nConnection: close\r\n\r\n")
	}
	sent++
	g.raw("public", "GET /public/last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").ok(t)
	g.logged("/public/last")

	n := 0
	for line := range strings.Lines(g.stdout.String()) {
		n++
		if fault := forgedLine(strings.TrimSuffix(line, "\n"), members); fault != "" {
			t.Errorf("%s: %.500s", fault, line)
		}
	}
	if n > sent || n < sent-refused {
		t.Errorf("%d lines for %d requests, of which %d were not even read", n, sent, refused)
	}
	for line := range strings.Lines(g.stderr.String()) {
		if !strings.HasPrefix(line, "time=") && !strings.HasPrefix(line, "envoy ") {
			t.Errorf("standard error: %.200q", line)
		}
	}
}

// forgedLine says what is wrong with a line of the access log.
func forgedLine(line string, members []string) string {
	if len(line) > 16<<10 {
		return fmt.Sprintf("%d bytes", len(line))
	}
	if i := strings.IndexFunc(line, func(r rune) bool { return r < ' ' }); i >= 0 || !utf8.ValidString(line) {
		return fmt.Sprintf("a control character at %d, or what is not UTF-8", i)
	}
	d := json.NewDecoder(bytes.NewReader([]byte(line)))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return fmt.Sprintf("no object: %v", err)
	}
	var seen []string
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err.Error()
		}
		if value, err := d.Token(); err != nil || value == json.Delim('{') || value == json.Delim('[') {
			return fmt.Sprintf("%s: %v, %v", name, value, err)
		}
		seen = append(seen, name.(string))
	}
	if _, err := d.Token(); err != nil || d.More() {
		return "there is more after the object"
	}
	slices.Sort(seen)
	if !slices.Equal(seen, members) {
		return fmt.Sprintf("its members are %v", seen)
	}
	return ""
}

func keysOf(line logLine) []string {
	var names []string
	for name := range line {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
