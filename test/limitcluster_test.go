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
	bothCapacity, bothRate       = 15, 1 // of a user on /both
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
  per-both: {key: [user, route], tokenBucket: {capacity: %d, refill: %d/s}}
  per-route: {key: [route], tokenBucket: {capacity: %d, refill: %d/s}}
routes:
  - {name: one, match: {path: /one}, auth: {anyOf: [{jwt: main}]}, limits: [per-user], to: [{backend: app}]}
  - {name: both, match: {path: /both}, auth: {anyOf: [{jwt: main}]}, limits: [per-user, per-both, per-route], to: [{backend: app}]}
`, clusterCapacity, clusterRate, bothCapacity, bothRate, routeCapacity, routeRate)

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
	lost, was := map[string]bool{}, map[string]*testenv.RedisServer{}
	for _, u := range users {
		was[u.name] = masterOf(cluster, u.tag())
		lost[u.name] = was[u.name] == killed
	}
	lost["/both"] = masterOf(cluster, "route=both") == killed
	l := startThrong(t, gateways, users, "/one", "/both")
	l.metric("gatewright_ratelimit_instances", is("2"))
	l.more(500)
	killed.Kill()
	l.metric("gatewright_ratelimit_store_errors_total", not("0")) // each gateway has found out
	eventually(t, "the replica takes over", func() error {
		if masterOf(cluster, users[0].tag()) == killed {
			return fmt.Errorf("it has not")
		}
		return nil
	})
	l.metric("gatewright_ratelimit_store_up", is("1"))
	l.more(500)
	took := l.end().Seconds()
	for _, u := range users { // a machine that is too busy may fail over others, too
		lost[u.name] = lost[u.name] || masterOf(cluster, u.tag()) != was[u.name]
	}
	l.admits(users, took, lost)
}

// admits checks what was admitted in so many seconds. Who is lost may have had three
// times what the limit holds, and twice what it regains.
func (l *throng) admits(users []user, took float64, lost map[string]bool) {
	l.t.Helper()
	l.t.Logf("%d requests in %.1f s; admitted: %v; lost: %v", l.sent, took, l.admitted, lost)
	check := func(who string, lost bool, capacity, rate int) {
		l.t.Helper()
		most := capacity + int(float64(rate)*took) + 1
		if lost {
			most = 3*capacity + int(2*float64(rate)*took) + 2
		}
		if n := l.admitted[who]; n == 0 || n > most {
			l.t.Errorf("%s: %d admitted, want some, and %d at most", who, n, most)
		}
	}
	for _, u := range users {
		check(u.name, lost[u.name], clusterCapacity, clusterRate)
		check(u.name+"/both", lost[u.name], bothCapacity, bothRate)
	}
	check("/both", lost["/both"], routeCapacity, routeRate)
}

// TestClusterReshard: slots of a Redis Cluster are moved between its masters under
// load, slowly, so that Redis answers with MOVED, ASK and TRYAGAIN. Each request is
// admitted or limited, by Redis alone, and nobody has more than his limits say.
func TestClusterReshard(t *testing.T) {
	t.Parallel()
	cluster, gateways, users := onCluster(t)
	tags := []string{"route=both"}
	for _, u := range users {
		tags = append(tags, u.tag())
	}
	l := startThrong(t, gateways, users, "/one", "/both")
	l.more(200)
	for round := range 2 {
		for i, tag := range tags {
			to := cluster.Nodes[(i+round)%3]
			if to == masterOf(cluster, tag) {
				to = cluster.Nodes[(i+round+1)%3]
			}
			move := cluster.BeginMove("{"+tag+"}", to)
			l.more(50)
			move.Keys(1)
			l.more(100)
			move.End()
		}
	}
	l.admits(users, l.end().Seconds(), nil)
	for _, name := range []string{"MOVED", "ASK", "TRYAGAIN"} {
		n := cluster.Answered(name)
		t.Logf("%s: %d times", name, n)
		if n == 0 {
			t.Errorf("no command was answered with %s: the test proves nothing of it", name)
		}
	}
	l.metric("gatewright_ratelimit_store_errors_total", is("0"))
}
