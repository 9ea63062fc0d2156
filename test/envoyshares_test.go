package test

import (
	"encoding/json"
	"fmt"
	"io"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// Each Envoy of a fleet knows how many Envoys there are, whichever gateway they belong to.
func TestEnvoysKnowHowManyThereAre(t *testing.T) {
	t.Parallel()
	redis := testenv.StartRedis(t)
	var sockets []string
	for range 2 {
		temporary := testenv.ShortDir(t)
		start(t, setup{config: hello, env: []string{"GATEWRIGHT_REDIS_URL=" + redis.URL(), "TMPDIR=" + temporary}})
		socket, err := adminSocket(temporary)
		if err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, socket)
	}
	for _, socket := range sockets {
		eventually(t, "an Envoy knows of both", func() error {
			if n := envoysKnownTo(t, socket); n != 2 {
				return fmt.Errorf("it knows of %d", n)
			}
			return nil
		})
	}
}

// envoysKnownTo is by how many an Envoy divides a limit.
func envoysKnownTo(t *testing.T, socket string) int {
	t.Helper()
	r, err := adminClient(socket).Get("http://envoy/clusters?format=json")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	var clusters struct {
		ClusterStatuses []struct {
			Name         string `json:"name"`
			HostStatuses []any  `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err := json.Unmarshal(body, &clusters); err != nil {
		t.Fatal(err)
	}
	for _, c := range clusters.ClusterStatuses {
		if c.Name == "gatewright-envoys" {
			return len(c.HostStatuses)
		}
	}
	t.Fatal("the Envoy has no cluster of Envoys")
	return 0
}
