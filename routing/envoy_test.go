package routing

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/testenv"
)

// TestNormalizeIsEnvoys asks a real Envoy, with the settings of our listeners,
// what it makes of paths and hosts: those of TestNormalize, and made-up ones.
func TestNormalizeIsEnvoys(t *testing.T) {
	t.Parallel()
	envoy := startEnvoy(t, nil)
	ask := func(host, path string) {
		t.Helper()
		status, got := envoy.ask(t, host, path, "")
		r, err := Normalize(Request{Host: host, Path: path})
		switch {
		case err != nil && status != http.StatusBadRequest:
			t.Errorf("%q of %q: Envoy answers %d and makes it %q, here it is refused: %v", path, host, status, got.Path, err)
		case err == nil && (status != http.StatusOK || got.Path != r.Path || lower(got.Host) != r.Host):
			t.Errorf("%q of %q: Envoy answers %d and makes it %q of %q, here it is %q of %q", path, host, status, got.Path, got.Host, r.Path, r.Host)
		}
	}
	for path := range normalPaths {
		if !strings.ContainsAny(path, "\x00\n\r ") {
			ask("a.com", path)
		}
	}
	for host := range normalHosts {
		ask(host, "/")
	}
	random := rand.New(rand.NewPCG(1, 2))
	pieces := strings.Fields(`/ / / // \ . .. /. /.. ; ..; .; ..;x %2e %2E%2e %2f %5C %00 %41 %c3 % %2 %3 %zz %32 %65 %25 0 e a B { | " # = ~ * + ?`)
	for range 3000 {
		var path strings.Builder
		path.WriteByte('/')
		for range random.IntN(9) {
			path.WriteString(pieces[random.IntN(len(pieces))])
		}
		ask("a.com", path.String())
	}
	for c := range 256 {
		if c != '\r' && c != '\n' {
			ask("a.com", "/x"+string([]byte{byte(c)})+"y")
		}
		ask("a.com", fmt.Sprintf("/x%%%02Xy", c))
		ask("a.com", fmt.Sprintf("/x%%%02xy", c))
	}
}

// TestConditionsAreEnvoys asks a real Envoy which values headers and query
// parameters have, and which expressions they fit.
func TestConditionsAreEnvoys(t *testing.T) {
	t.Parallel()
	regexes := []string{".*", "one.", "two..", "é[é]", `\xc3\xA9`, `(?i)aB`, `(?i)[^k]`, `(?i)\pL*`, `(?i:k).`, `w\w`, `p\pL`, "n[^a]", `d\D`, "a|ab", "1[0-9]", `(a+)b?`, "x{2,3}", "[[:alpha:]]+", `\x{e9}`, `^a$`, `b\b.*`}
	values := []string{"", "é", "oneé", "one\xff", "twoé", "éé", "é\xc3", "é\xa9", "\xe3\x89", "\xc9", "\xe3", "\xc3", "a\xe3", "AB", "A\xc3", "\xe3\xe3", "k", "K", "A", "wé", "w\xe9", "pé", "p\xe9", "n\xff", "né", "d\xff",
		"a", "ab", "abb", "1", "10", "100", "aab", "xx", "xxxx", "Z", "\xe9", "b c", "bc", "\xed\xa0\x80", "a\tb"}
	queries := []string{"q=1", "q=%31", "Q=1", "%71=1", "q", "q=", "q=2&q=1", "q=1&q=2", "a=1&q=1", "a&&q=1", "a=?q=1", "q=1?", "?q=1", "a;q=1", "q=1=2", "q=+1", "=1&q=1", "&q", "", "q=1&"}
	wants := []config.ValueMatch{{Exact: "1"}, {Exact: "%31"}, {Exact: ""}, {Present: true}, {Absent: true}, {Prefix: "1"}, {Regex: "1."}}

	var routes []any
	for i, regex := range regexes {
		routes = append(routes, envoyRoute(fmt.Sprint("regex ", i), nil, map[string]any{"name": "x-value", "string_match": stringMatch(config.ValueMatch{Regex: regex})}))
	}
	for i, want := range wants {
		parameter := map[string]any{"name": "q", "string_match": stringMatch(want)}
		if want.Present || want.Absent {
			parameter = map[string]any{"name": "q", "present_match": want.Present}
		}
		routes = append(routes, envoyRoute(fmt.Sprint("query ", i), parameter))
	}
	envoy := startEnvoy(t, routes)
	for i, regex := range regexes {
		expression, err := config.CompileExpression(regex)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range values {
			status, _ := envoy.ask(t, "a.com", "/", fmt.Sprintf("X-Which: regex %d\r\nX-Value: %s\r\n", i, value))
			if fits := status == http.StatusAccepted; fits != expression.Fits(value) {
				t.Errorf("%q fits %q: Envoy says %v (%d)", value, regex, fits, status)
			}
		}
	}
	for i, want := range wants {
		c := conditions(&config.Match{Query: map[string]config.ValueMatch{"q": want}})[0]
		for _, query := range queries {
			status, _ := envoy.ask(t, "a.com", "/?"+query, fmt.Sprintf("X-Which: query %d\r\n", i))
			value, ok := parameter(query, "q")
			if holds := status == http.StatusAccepted; holds != c.holds(value, ok) {
				t.Errorf("%q is %+v: Envoy says %v (%d)", query, want, holds, status)
			}
		}
	}
}

// envoyRoute answers 202 where a request asks for it by x-which, and a
// condition holds.
func envoyRoute(which string, parameter any, headers ...any) any {
	match := map[string]any{
		"prefix":  "/",
		"headers": append(headers, map[string]any{"name": "x-which", "string_match": map[string]any{"exact": which}}),
	}
	if parameter != nil {
		match["query_parameters"] = []any{parameter}
	}
	return map[string]any{"match": match, "direct_response": map[string]any{"status": http.StatusAccepted}}
}

func stringMatch(m config.ValueMatch) any {
	switch {
	case m.Prefix != "":
		return map[string]any{"prefix": m.Prefix}
	case m.Regex != "":
		return map[string]any{"safe_regex": map[string]any{"regex": m.Regex}}
	}
	return map[string]any{"exact": m.Exact}
}

// realEnvoy is an Envoy that answers with the path and the host that it routes
// by.
type realEnvoy struct{ addr string }

// startEnvoy starts one with routes before the one that always answers. It is
// killed when the test ends.
func startEnvoy(t *testing.T, routes []any) realEnvoy {
	t.Helper()
	program, addr := testenv.Envoy(t), testenv.Addr(t)
	host, port, _ := net.SplitHostPort(addr)
	routes = append(routes, map[string]any{"match": map[string]any{"prefix": "/"}, "direct_response": map[string]any{"status": http.StatusOK}})
	written, err := json.Marshal(routes)
	if err != nil {
		t.Fatal(err)
	}
	template, err := os.ReadFile("testdata/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("ADDRESS", host, "PORT", port, "ROUTES", string(written)).Replace(string(template))
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd := exec.Command(program, "-c", file, "--use-dynamic-base-id", "--concurrency", "1", "-l", "error")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-exited
	})
	for deadline := time.Now().Add(time.Minute); ; {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return realEnvoy{addr}
		}
		select {
		case <-exited:
			t.Fatalf("Envoy ended:\n%s", &log)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("Envoy does not listen")
		}
	}
}

// ask sends a request byte for byte, and returns the status, and what the
// routes saw.
func (e realEnvoy) ask(t *testing.T, host, path, headers string) (status int, seen Request) {
	t.Helper()
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n", path, host, headers)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q of %q: %v", path, host, err)
	}
	answer.Body.Close()
	return answer.StatusCode, Request{Host: answer.Header.Get("X-Host"), Path: answer.Header.Get("X-Path")}
}
