package test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"

	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"
)

const webCalls = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  calls: {endpoints: ["{{.calls}}"], protocol: grpc}
auth: {apiKey: {keys: {}}}
routes:
  - name: open
    match: {grpc: {service: grpc.health.v1.Health, method: Check}}
    auth: public
    to: [{backend: calls}]
    grpcWeb: true
    cors: {origins: ["https://shop.example.com"], headers: [X-API-Key]}
  - name: closed
    match: {grpc: {service: closed.Health}}
    auth: {anyOf: [{apiKey: keys}]}
    to: [{backend: calls}]
    rewrite: {path: "/grpc.health.v1.Health/{method}"}
    grpcWeb: true
    cors: {origins: ["https://shop.example.com"], headers: [X-API-Key]}
  - {name: plain, match: {grpc: {service: plain.Health}}, auth: public, to: [{backend: calls}], rewrite: {path: "/grpc.health.v1.Health/{method}"}}
`

// framed is a message of gRPC, or its trailers, with the prefix that has its length.
func framed(flag byte, message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(message))), message...)
}

// webCall calls a method by gRPC-Web, in binary or in text, and returns the answer's
// headers, its message and its trailers.
func (g *gateway) webCall(path, kind string, headers ...header) (resp *http.Response, message []byte, trailers string) {
	g.t.Helper()
	request, err := proto.Marshal(&healthv1.HealthCheckRequest{})
	if err != nil {
		g.t.Fatal(err)
	}
	body := framed(0, request)
	text := strings.HasPrefix(kind, "application/grpc-web-text")
	if text {
		body = []byte(base64.StdEncoding.EncodeToString(body))
	}
	r, err := http.NewRequest(http.MethodPost, g.url("public", path), bytes.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Accept", kind) // by which the form of the answer is chosen
	r.Header.Set("X-Grpc-Web", "1")
	for _, h := range headers {
		r.Header.Set(h.name, h.value)
	}
	if resp, err = client.Do(r); err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/grpc-web") || resp.Header.Get("Grpc-Status") != "" {
		return resp, answer, "" // it is none of the protocol's, or its headers say it all
	}
	if text {
		answer = decoded(g.t, string(answer))
	}
	for len(answer) >= 5 {
		flag, length := answer[0], binary.BigEndian.Uint32(answer[1:5])
		if uint32(len(answer)-5) < length {
			g.t.Fatalf("a frame of %d bytes, and %d are there", length, len(answer)-5)
		}
		frame := answer[5 : 5+length]
		if answer = answer[5+length:]; flag&0x80 != 0 {
			trailers += string(frame)
		} else {
			message = frame
		}
	}
	return resp, message, trailers
}

// decoded is text of which each part is base64 by itself, padded.
func decoded(t testing.TB, s string) []byte {
	t.Helper()
	var out []byte
	for s != "" {
		end := strings.IndexByte(s, '=')
		if end < 0 {
			end = len(s)
		}
		for end < len(s) && s[end] == '=' {
			end++
		}
		part, err := base64.StdEncoding.DecodeString(s[:end])
		if err != nil {
			t.Fatal(err)
		}
		out, s = append(out, part...), s[end:]
	}
	return out
}

// TestGRPCWeb: pages call by gRPC-Web what speaks gRPC, in binary and in text, from
// other origins; a denial is an answer of the protocol, whose reason pages may read;
// and a route that does not say so takes none.
func TestGRPCWeb(t *testing.T) {
	t.Parallel()
	g := start(t, setup{config: webCalls, values: map[string]string{"calls": healthService(t, healthv1.HealthCheckResponse_SERVING)}})
	key, origin := g.createKey().header(), header{"Origin", "https://shop.example.com"}
	for _, kind := range []string{"application/grpc-web", "application/grpc-web+proto", "application/grpc-web-text", "application/grpc-web-text+proto"} {
		for path, headers := range map[string][]header{"/grpc.health.v1.Health/Check": {origin}, "/closed.Health/Check": {origin, key}} {
			resp, message, trailers := g.webCall(path, kind, headers...)
			var got healthv1.HealthCheckResponse
			if err := proto.Unmarshal(message, &got); err != nil || got.GetStatus() != healthv1.HealthCheckResponse_SERVING {
				t.Errorf("%s by %s: %v, %v", path, kind, &got, err)
			}
			if resp.StatusCode != http.StatusOK || !strings.Contains(trailers, "grpc-status:0\r\n") {
				t.Errorf("%s by %s: status %d, trailers %q", path, kind, resp.StatusCode, trailers)
			}
			if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, strings.TrimSuffix(kind, "+proto")) {
				t.Errorf("%s by %s: content type %q", path, kind, got)
			}
			if got := resp.Header.Get("Access-Control-Allow-Origin"); got != origin.value {
				t.Errorf("%s by %s: allowed origin %q", path, kind, got)
			}
			if got := resp.Header.Get("Access-Control-Expose-Headers"); got != "Grpc-Status,Grpc-Message,Grpc-Status-Details-Bin" {
				t.Errorf("%s by %s: exposed headers %q", path, kind, got)
			}
		}
		resp, body, trailers := g.webCall("/closed.Health/Check", kind, origin)
		if said, why := resp.Header.Get("Grpc-Status"), resp.Header.Get("Grpc-Message"); said != "16" || !strings.Contains(why, `"reason":"credential-missing"`) || len(body)+len(trailers) > 0 {
			t.Errorf("denied by %s: grpc-status %q, grpc-message %q, and behind the headers %q %q", kind, said, why, body, trailers)
		}
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != origin.value {
			t.Errorf("denied by %s: allowed origin %q", kind, got)
		}
		resp, _, trailers = g.webCall("/grpc.health.v1.Health/Nothing", kind)
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("a method of no route by %s: status %d, trailers %q", kind, resp.StatusCode, trailers)
		}
		if resp, _, _ := g.webCall("/plain.Health/Check", kind); resp.StatusCode != http.StatusNotFound {
			t.Errorf("a route for gRPC alone takes %s: status %d", kind, resp.StatusCode)
		}
	}
	line := g.logged("/closed.Health/Check")
	if line["route"] != "closed" {
		t.Errorf("access log: %v", line)
	}
	preflight := do(t, http.MethodOptions, g.url("public", "/closed.Health/Check"), origin, header{"Access-Control-Request-Method", "POST"}, header{"Access-Control-Request-Headers", "content-type,x-grpc-web,x-user-agent,x-api-key"})
	if got := preflight.Header.Get("Access-Control-Allow-Headers"); preflight.Status != http.StatusOK || got != "X-API-Key,Content-Type,X-Grpc-Web,X-User-Agent,Grpc-Timeout" {
		t.Errorf("preflight: status %d, allowed headers %q", preflight.Status, got)
	}
}
