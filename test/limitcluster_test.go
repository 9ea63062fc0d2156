package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/testenv"
)

// What limits of the config below hold, and regain in a second.
const (
	clusterCapacity, clusterRate = 20, 2
	routeCapacity, routeRate     = 100, 20
)

var clusterConfig = `
listeners:
  - {name: public, address: "{{listen "public"}}"}
backends:
  app: {endpoints: ["{{.app}}"]}
auth:
` + jwtMain + fmt.Sprintf(`limits:
  per-user: {key: [user], tokenBucket: {capacity: %d, refill: %d/s}}
  per-route: {key: [route], tokenBucket: {capacity: %d, refill: %d/s}}
routes:
  - {name: one, match: {path: /one}, auth: {anyOf: [{jwt: main}]}, limits: [per-user], to: [{backend: app}]}
  - {name: both, match: {path: /both}, auth: {anyOf: [{jwt: main}]}, limits: [per-user, per-route], to: [{backend: app}]}
`, clusterCapacity, clusterRate, routeCapacity, routeRate)

// onCluster starts a cluster that serves what slots it can, and two gateways on it
// that know of each other. The users are of all masters.
func onCluster(t *testing.T) (*testenv.RedisCluster, []*gateway, []user) {
	t.Helper()
	cluster := testenv.StartRedisCluster(t, 2*time.Second)
	for _, node := range cluster.Nodes {
		node.Do("CONFIG", "SET", "cluster-require-full-coverage", "no")
	}
	p, app := idp(t), backend(t, "app")
	gateways := make([]*gateway, 2)
	for i := range gateways {
		gateways[i] = start(t, setup{
			config: clusterConfig, values: map[string]string{"issuer": p.Issuer(), "app": app.Addr()},
			env: []string{"GATEWRIGHT_REDIS_URL=" + cluster.URL(), "GATEWRIGHT_REDIS_TIMEOUT=5s"},
		})
	}
	users := make([]user, 12)
	for i := range users {
		name := fmt.Sprint("u", i)
		users[i] = user{name, bearer(token(t, p, "sub="+name))}
	}
	return cluster, gateways, users
}

// masterOf is the server that counts for who has these values: see
// ratelimit/README.md on keys.
func masterOf(cluster *testenv.RedisCluster, tag string) *testenv.RedisServer {
	return cluster.Master("{" + tag + "}")
}

// tag is the hash tag of the user's keys.
func (u user) tag() string { return "user=main%3A" + u.name }

// TestClusterFailover: a master of a Redis Cluster is killed under load, and its
// replica takes over. Each request is admitted or limited, none is an error. Who is
// counted by the other masters has what the limit says, to the token; who was counted by
// the one that is gone, once more what the failover may have lost, and once more what
// the gateways admit without it.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	cluster, gateways, users := onCluster(t)
	killed := masterOf(cluster, users[0].tag())
	lost := map[string]bool{}
	for _, u := range users {
		lost[u.name] = masterOf(cluster, u.tag()) == killed
	}
	lost["/both"] = masterOf(cluster, "route=both") == killed
	l := startThrong(t, gateways, users, "/one", "/both")
	l.metric("gatewright_ratelimit_instances", "2")
	l.more(500)
	killed.Kill()
	l.metric("gatewright_ratelimit_store_up", "0")
	eventually(t, "the replica takes over", func() error {
		if masterOf(cluster, users[0].tag()) == killed {
			return fmt.Errorf("it has not")
		}
		return nil
	})
	l.metric("gatewright_ratelimit_store_up", "1")
	l.more(500)
	took := l.end().Seconds()
	most := func(who string, capacity, rate int) int {
		if lost[who] {
			return 3*capacity + int(2*rate*int(took+1))
		}
		return capacity + int(float64(rate)*took) + 1
	}
	t.Logf("%d requests in %.1f s; admitted: %v; counted by the killed master: %v", l.sent, took, l.admitted, lost)
	for _, u := range users {
		checkAdmitted(t, l, u.name, clusterCapacity, most(u.name, clusterCapacity, clusterRate))
	}
	checkAdmitted(t, l, "/both", clusterCapacity, most("/both", routeCapacity, routeRate))
}

func checkAdmitted(t *testing.T, l *throng, who string, least, most int) {
	t.Helper()
	if n := l.admitted[who]; n < least || n > most {
		t.Errorf("%s: %d admitted, want from %d to %d", who, n, least, most)
	}
}
