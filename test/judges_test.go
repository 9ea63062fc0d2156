package test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

const judgedApart = `
listeners:
  - {name: public, address: "{{.public}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
limits:
  plenty: {key: [clientIP], tokenBucket: {capacity: 1000000, refill: 1000/s}}
routes:
  - {name: stream, match: {path: /stream/**}, auth: public, limits: [plenty], to: [{backend: app}], stream: true}
`

// TestRollingRestartOfJudges: of two judges behind an Envoy that is started elsewhere,
// each is restarted in turn under load, quick, slow and streaming. No request fails.
func TestRollingRestartOfJudges(t *testing.T) {
	t.Parallel()
	values := map[string]string{"app": streamer(t), "public": testenv.Addr(t)}
	var judges []*gateway
	var behind []map[string]any
	for range 2 {
		addr := testenv.Addr(t)
		g := start(t, setup{config: judgedApart, values: values, serve: true, env: []string{"GATEWRIGHT_GRPC_ADDR=" + addr, "GATEWRIGHT_DRAIN_DELAY=2s"}})
		judges, behind = append(judges, g), append(behind, map[string]any{"grpc": portOf(t, addr), "admin": portOf(t, g.admin)})
	}
	control, admin := testenv.Addr(t), testenv.Addr(t)
	foreignEnvoy(t, "testdata/judges.yaml", map[string]any{"port": portOf(t, control), "admin": portOf(t, admin), "judges": behind}, control)
	testenv.StartEnvoy(t, testenv.EnvoyRun{Config: judges[0].run("bootstrap", "--admin", "127.0.0.1:0", "--control", control)})
	kept := bothClients(t)
	fresh := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	var sends []func() error
	for _, client := range []*http.Client{kept["http1"], kept["http2"], fresh} {
		for path, want := range map[string]string{"expect": "4", "slow": "slow", "events": "data: 0\n"} {
			sends = append(sends, func() error {
				r, err := http.NewRequest(http.MethodPost, "http://"+values["public"]+"/stream/"+path, io.MultiReader(strings.NewReader("body")))
				if err != nil {
					return err
				}
				got, err := readAll(client.Do(r))
				if err == nil && (!strings.HasPrefix(got, want) || path == "events" && strings.Count(got, "data: ") != 12) {
					err = fmt.Errorf("%s: %.100q", path, got)
				}
				return err
			})
		}
	}
	eventually(t, "the Envoy serves", sends[0])
	load := steady(sends...)
	for _, g := range judges {
		g.stop()
		g.launch("serve")
		g.waitReady()
		eventually(t, "the load balancer has noticed", func() error {
			all, err := readAll(http.Get("http://" + admin + "/stats?filter=cluster.judges.membership_healthy"))
			if err == nil && !strings.Contains(all, ": 2") {
				err = errors.New(all)
			}
			return err
		})
	}
	load.stop(t)
	if !strings.Contains(judges[0].metrics(), `gatewright_verdicts_total{`) {
		t.Error("the one that was restarted first has judged nothing since")
	}
}
