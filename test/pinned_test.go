package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// secondEnvoy is an Envoy of the same gateway on the same ports: the kernel
// gives each new connection to one of the two.
type secondEnvoy struct {
	process *os.Process
	log     *testenv.Output // its access log
}

// startSecondEnvoy starts one that asks for its config in a variant of xDS,
// DELTA_GRPC or GRPC, and waits until it has it.
func startSecondEnvoy(t *testing.T, g *gateway, variant string) secondEnvoy {
	t.Helper()
	bootstrap := g.run("bootstrap", "--admin", "127.0.0.1:0", "--node", "second")
	log := &testenv.Output{}
	process := testenv.StartEnvoy(t, testenv.EnvoyRun{
		Config: bytes.Replace(bootstrap, []byte("api_type: DELTA_GRPC"), []byte("api_type: "+variant), 1),
		Stdout: log, Stderr: g.stderr, Args: []string{"--file-flush-interval-msec", "50"},
	})
	eventually(t, "both Envoys are up to date", func() error {
		r, _ := g.status()
		if len(r.Envoys) != 2 || !r.Envoys[0].UpToDate || !r.Envoys[1].UpToDate {
			return fmt.Errorf("%+v", r.Envoys)
		}
		return nil
	})
	return secondEnvoy{process, log}
}

var asked atomic.Int64 // numbers the requests of pinned

// errOtherConnection says that a connection of a pinned client has ended, which
// no change of a config may do.
var errOtherConnection = errors.New("the connection was closed, and another would lead elsewhere")

// pinned is a client with one connection, to the Envoy with this access log and
// not to that with the other. It speaks HTTP/2, so that its requests do not
// wait for each other.
func pinned(t *testing.T, g *gateway, listener string, log, other *testenv.Output) *http.Client {
	t.Helper()
	for range 64 {
		c := onceConnected()
		path := fmt.Sprintf("/who-is-this-%d", asked.Add(1))
		if _, err := c.tryHost(g.url(listener, path), ""); err == nil && logsSoon(path, log, other) {
			t.Cleanup(c.CloseIdleConnections)
			return (*http.Client)(c)
		}
		c.CloseIdleConnections()
	}
	t.Fatal("no connection has come to that Envoy")
	return nil
}

// logsSoon waits until one of two logs has a text, and tells whether it is the
// first.
func logsSoon(text string, log, other *testenv.Output) bool {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(log.String(), text) {
			return true
		}
		if strings.Contains(other.String(), text) {
			return false
		}
	}
	return false
}

// onceClient has one connection, ever.
type onceClient http.Client

func onceConnected() *onceClient {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	var dialled atomic.Bool
	return &onceClient{Timeout: 20 * time.Second, Transport: &http.Transport{
		Protocols: &protocols,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dialled.Swap(true) {
				return nil, errOtherConnection
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}}
}

func (c *onceClient) CloseIdleConnections() { (*http.Client)(c).CloseIdleConnections() }

func (c *onceClient) tryHost(url, host string, headers ...header) (reply, error) {
	return tryBy((*http.Client)(c), url, host, headers...)
}

// tryBy is a GET by a client of its own.
func tryBy(c *http.Client, url, host string, headers ...header) (reply, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return reply{}, err
	}
	if host != "" {
		req.Host = host
	}
	for _, h := range headers {
		req.Header.Set(h.name, h.value)
	}
	resp, err := c.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}, err
}
