package test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

const manySecrets = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
  - {name: filtered, address: "{{listen "filtered"}}", rateLimit: filter}
backends:
  app: {endpoints: ["{{.app}}"]}
  gone: {endpoints: ["{{.gone}}"]}
  collector: {endpoints: ["{{.collector}}"], protocol: grpc}
tracing: {otlp: {backend: collector}, percent: 100}
accessLog: {otlp: {backend: collector}}
auth:
` + jwtMain + `      forward: {sub: X-User-ID}
    shared: {issuer: shared, audiences: [api], algorithms: [HS256], secretEnv: TOKEN_SECRET, previousSecretEnv: OLD_TOKEN_SECRET}
  apiKey:
    partners: {forward: {id: X-Key-ID}}
    legacy: {from: {query: api_key}}
  introspection:
    opaque: {url: "{{.opaque}}", clientID: gateway, clientSecretEnv: INTROSPECT_SECRET}
limits:
  each: {key: [apiKey, user, "header:X-Secret", "header:X-Api-Key", "header:Cookie", 'rule:request.headers["x-secret"]'], tokenBucket: {capacity: 1000, refill: 1/d}}
  once: {key: ["header:X-Secret"], tokenBucket: {capacity: 1, refill: 1/d}}
routes:
  - {name: data, match: {path: /data/**}, auth: {anyOf: [{apiKey: partners}, {jwt: main}]}, limits: [each], to: [{backend: app}]}
  - {name: old, match: {path: /old/**}, auth: {anyOf: [{apiKey: legacy}, {introspection: opaque, mode: shadow}]}, to: [{backend: app}]}
  - {name: opaque, match: {path: /opaque/**}, auth: {anyOf: [{introspection: opaque}]}, to: [{backend: app}]}
  - {name: shared, match: {path: /shared/**}, auth: {anyOf: [{jwt: shared}]}, to: [{backend: app}]}
  - {name: once, match: {path: /once/**}, auth: public, limits: [once], to: [{backend: app}]}
  - {name: moved, match: {path: /moved/**}, auth: public, redirect: {status: 301, host: elsewhere.example}}
  - {name: rewritten, match: {path: /rewritten/**}, auth: public, rewrite: {path: /other}, to: [{backend: app}]}
  - {name: gone, match: {path: /gone/**}, auth: public, to: [{backend: gone}]}
`

// TestCanariesAreNowhere puts a secret of its own into every place of a request,
// on every kind of route, and into every setting that is one, and then reads all
// that is written anywhere, while all are being logged that can be.
func TestCanariesAreNowhere(t *testing.T) {
	t.Parallel()
	canaries := map[string]string{}
	canary := func(what string) string {
		canaries[what] = fmt.Sprintf("c4n4ry%dof%s", len(canaries), hex.EncodeToString([]byte(what))[:8])
		return canaries[what]
	}
	opaqueToken := canary("opaque token")
	opaque := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"active":%t,"sub":"alice","exp":4000000000}`, r.PostFormValue("token") == opaqueToken)
	}))
	defer opaque.Close()
	redis, p, app := testenv.StartRedis(t), idp(t), backend(t, "app")
	temporary, collector := testenv.ShortDir(t), testenv.StartCollector(t)
	g := start(t, setup{config: manySecrets, values: map[string]string{
		"issuer": p.Issuer(), "opaque": opaque.URL, "app": app.Addr(), "gone": testenv.Addr(t), "collector": collector.GRPC,
	}, env: []string{
		"TMPDIR=" + temporary, "GATEWRIGHT_LOG_LEVEL=debug", "GATEWRIGHT_REDIS_URL=" + redis.URL(),
		"GATEWRIGHT_ADMIN_TOKEN=" + canary("admin token"), "INTROSPECT_SECRET=" + canary("client secret"),
		"TOKEN_SECRET=" + canary("secret of tokens") + strings.Repeat("0", 32), "OLD_TOKEN_SECRET=" + canary("old secret of tokens") + strings.Repeat("0", 32),
		"GATEWRIGHT_KEY_SECRET=" + canary("secret of hashes") + strings.Repeat("0", 32),
	}})
	made := g.createKey("--owner", "o")
	canaries["key"], canaries["the key's secret part"] = made.Key, made.Key[17:57]
	signed := token(t, p, "sub=alice", "private="+canary("claim"))
	canaries["token"] = signed
	canaries["signature"] = signed[strings.LastIndexByte(signed, '.')+1:]
	byMAC := macToken("shared", canaries["secret of tokens"]+strings.Repeat("0", 32))
	canaries["token by a MAC"], canaries["a MAC"] = byMAC, byMAC[strings.LastIndexByte(byMAC, '.')+1:]
	forged := tamper(token(t, p, "sub=alice", "private="+canary("claim of a forged token")))
	canaries["forged token"] = forged

	key, token := made.header(), bearer(signed)
	everywhere := func(credential ...header) []header {
		return append(credential,
			header{"Cookie", "session=" + canary("cookie")}, header{"X-Secret", canary("header")},
			header{"Proxy-Authorization", "Basic " + canary("proxy")}, header{"Referer", "https://a/?code=" + canary("referer")},
			header{"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, header{"Tracestate", "a=" + canary("tracestate")},
			header{"Baggage", "user=" + canary("baggage")}, header{"X-Forwarded-For", canary("forwarded for")},
			header{"X-Envoy-Original-Path", "/?" + canary("original path")}, header{"Forwarded", "for=" + canary("forwarded")})
	}
	statuses := map[int]int{}
	for _, listener := range []string{"public", "filtered"} {
		for _, path := range []string{"/data/1", "/old/1", "/opaque/1", "/shared/1", "/once/1", "/moved/1", "/rewritten/1", "/gone/1", "/nowhere", "/old/%2e%2e;/x"} {
			for _, headers := range [][]header{
				everywhere(), everywhere(key), everywhere(token), everywhere(bearer(forged)), everywhere(bearer(opaqueToken)), everywhere(bearer(byMAC)),
				everywhere(bearer(canary("made-up token"))), everywhere(header{"X-API-Key", canary("made-up key")}),
				everywhere(key, key), everywhere(header{"Authorization", "Basic " + canary("basic")}),
			} {
				query := "?api_key=" + canary("key in query") + "&token=" + canary("query")
				req, err := http.NewRequest(http.MethodPost, g.url(listener, path+query), strings.NewReader("password="+canary("body")))
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range headers {
					req.Header.Add(h.name, h.value)
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body) // the echo of the backend has it all
				resp.Body.Close()
				statuses[resp.StatusCode]++
			}
		}
		get(t, g.url(listener, "/old/2?api_key="+url.QueryEscape(made.Key))).ok(t)
		get(t, g.url(listener, "/shared/2"), bearer(byMAC)).ok(t)
		// Absolute form, with a password.
		g.raw(listener, "GET http://user:"+canary("userinfo")+"@a/data/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	}
	for _, status := range []int{200, 301, 400, 401, 404, 429, 503} {
		if statuses[status] == 0 {
			t.Errorf("no request was answered with %d: %v", status, statuses)
		}
	}
	g.logged("/old/2")
	eventually(t, "the collector has most of it", func() error {
		if spans, records := len(collector.Spans(t, "")), len(collector.Records(t)); spans < 400 || records < 200 {
			return fmt.Errorf("%d spans and %d records", spans, records)
		}
		return nil
	})

	places := g.everythingWritten(temporary, redis, canaries["admin token"])
	g.stop()
	places["the access log"], places["standard error"] = g.stdout.String(), g.stderr.String()
	places["spans and records of the log"] = collector.Text()
	for place, text := range places {
		for what, secret := range canaries {
			for _, spelling := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret)), url.QueryEscape(secret)} {
				if i := strings.Index(text, spelling); i >= 0 {
					t.Errorf("%s: %s is in it: …%q…", place, what, text[max(0, i-80):min(len(text), i+len(spelling)+20)])
					break
				}
			}
		}
	}
}

// everythingWritten is all that a gateway shows and keeps, by where it is: every
// page of both admin ports, every list of the command line, every file, and what
// is in Redis. Each place has to have something that is known to be there.
func (g *gateway) everythingWritten(temporary string, redis *testenv.Redis, adminToken string) map[string]string {
	g.t.Helper()
	places := map[string]string{}
	must := func(place, text, has string) {
		g.t.Helper()
		places[place] = text
		if !strings.Contains(text, has) {
			g.t.Errorf("%s has no %q: it was not read: %.200q", place, has, text)
		}
	}
	for page, has := range map[string]string{
		"/metrics": "gatewright_verdicts_total", "/api/v1/status": "upToDate", "/api/v1/keys": `"id"`, "/api/v1/keys?limit=1": `"id"`,
		"/api/v1/tokens/revocations": "[", "/healthz": "ok", "/readyz": "ready", "/": "", "/debug/vars": "404",
		"/debug/pprof/heap?debug=1": "heap profile", "/debug/pprof/goroutine?debug=2": "goroutine", "/debug/pprof/cmdline": "gatewright", "/debug/flight": "flight-recorder-off",
	} {
		req, err := http.NewRequest(http.MethodGet, "http://"+g.admin+page, nil)
		if err != nil {
			g.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+adminToken)
		must("admin port "+page, pageText(g.t, http.DefaultClient, req), has)
	}
	for _, args := range [][]string{{"status"}, {"status", "-o", "json"}, {"keys", "list"}, {"keys", "list", "-o", "json"}, {"keys", "audit"}, {"tokens", "list"}, {"render", g.file}, {"environment"}} {
		must("gatewright "+strings.Join(args, " "), string(g.run(args...)), "")
	}
	socket, err := adminSocket(temporary)
	if err != nil {
		g.t.Fatal(err)
	}
	envoy := adminClient(socket)
	for page, has := range map[string]string{
		"/config_dump?include_eds": "envoy.filters.http.ext_authz", "/clusters?format=json": "gatewright", "/stats": "downstream_rq_total", "/stats/prometheus": "envoy_cluster",
		"/listeners": "public", "/server_info": "LIVE", "/certs": "", "/runtime": "", "/init_dump": "", "/memory": "allocated", "/stats/recentlookups": "", "/contention": "",
	} {
		req, err := http.NewRequest(http.MethodGet, "http://envoy"+page, nil)
		if err != nil {
			g.t.Fatal(err)
		}
		must("Envoy's admin port "+page, pageText(g.t, envoy, req), has)
	}
	for _, pid := range g.envoyPIDs() {
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			g.t.Fatal(err)
		}
		must("Envoy's environment", string(environ), "PATH=")
	}
	for _, dir := range []string{g.dir, temporary} {
		g.readAll(dir, places)
	}
	if _, there := places["file keys.db"]; !there {
		g.t.Errorf("no database among the files")
	}
	redis.Do("CONFIG", "SET", "rdbcompression", "no") // for DUMP to have the bytes
	keys, ok := redis.Do("KEYS", "*").([]any)
	if !ok || len(keys) == 0 {
		g.t.Error("nothing is in Redis")
	}
	for _, key := range keys {
		must("Redis", places["Redis"]+fmt.Sprintf("%s %v\n", key, redis.Do("DUMP", key)), "gw:rl:")
	}
	return places
}

// readAll reads all files of a folder.
func (g *gateway) readAll(dir string, places map[string]string) {
	g.t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		places["file "+name] = string(data)
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
}

// pageText is a page with its status and headers.
func pageText(t testing.TB, c *http.Client, req *http.Request) string {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	headers, _ := json.Marshal(resp.Header)
	return fmt.Sprintf("%s\n%s\n%s", resp.Status, headers, body)
}
