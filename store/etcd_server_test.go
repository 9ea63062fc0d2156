package store

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// etcdServer is a real etcd of a test's own, in this process.
type etcdServer struct {
	t       *testing.T
	address string
	scheme  string // of its clients; empty: http
	restart func() // as it was
	etcd    *embed.Etcd
	// own is the test's own view.
	own *clientv3.Client
}

// startEtcd starts one with a new data directory. It is stopped when the test
// ends.
func startEtcd(t *testing.T) *etcdServer {
	t.Helper()
	s := &etcdServer{t: t, address: freeAddress(t)}
	t.Cleanup(s.stop)
	s.start(t.TempDir())
	return s
}

// start starts it on a data directory, and returns when it answers.
func (s *etcdServer) start(dir string, options ...func(*embed.Config)) {
	s.t.Helper()
	s.begin(dir, options...)
	s.ready()
}

// begin starts it. A member of a cluster answers when there are others.
func (s *etcdServer) begin(dir string, options ...func(*embed.Config)) {
	s.t.Helper()
	if s.scheme == "" {
		s.scheme = "http"
	}
	client, peer := url.URL{Scheme: s.scheme, Host: s.address}, url.URL{Scheme: "http", Host: freeAddress(s.t)}
	c := embed.NewConfig()
	c.Dir = dir
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.UnsafeNoFsync = true
	c.BcryptCost = 4 // the least, for tests with passwords
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	for _, option := range options {
		option(c)
	}
	e, err := embed.StartEtcd(c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.etcd = e
	s.restart = func() { s.start(dir, options...) }
}

// ready waits until it answers.
func (s *etcdServer) ready() {
	s.t.Helper()
	select {
	case <-s.etcd.Server.ReadyNotify():
	case <-time.After(patience):
		s.t.Fatal("etcd does not start")
	}
	var err error
	s.own, err = clientv3.New(clientv3.Config{Endpoints: []string{s.scheme + "://" + s.address}, Logger: zap.NewNop()})
	if err != nil {
		s.t.Fatal(err)
	}
}

// startEtcdCluster starts three members of one cluster.
func startEtcdCluster(t *testing.T) []*etcdServer {
	t.Helper()
	var initial []string
	members, peers := make([]*etcdServer, 3), make([]url.URL, 3)
	for i := range members {
		peers[i] = url.URL{Scheme: "http", Host: freeAddress(t)}
		initial = append(initial, fmt.Sprintf("m%d=%s", i, &peers[i]))
	}
	for i := range members {
		members[i] = &etcdServer{t: t, address: freeAddress(t)}
		t.Cleanup(members[i].stop)
		members[i].begin(t.TempDir(), func(c *embed.Config) {
			c.Name, c.InitialCluster = fmt.Sprint("m", i), strings.Join(initial, ",")
			c.ListenPeerUrls, c.AdvertisePeerUrls = peers[i:i+1], peers[i:i+1]
		})
	}
	for _, member := range members {
		member.ready()
	}
	return members
}

func (s *etcdServer) stop() {
	if s.etcd == nil {
		return
	}
	if s.own != nil {
		_ = s.own.Close() // a test's own connection: nothing is lost
	}
	s.etcd.Close()
	<-s.etcd.Server.StopNotify()
	s.etcd = nil
}

func (s *etcdServer) location() string { return "etcd://" + s.address + "/gw/config" }

// put is etcdctl put.
func (s *etcdServer) put(key, value string) int64 {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resp, err := s.own.Put(ctx, key, value)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.Header.Revision
}

// remove is etcdctl del.
func (s *etcdServer) remove(key string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := s.own.Delete(ctx, key); err != nil {
		s.t.Fatal(err)
	}
}

// freeAddress is a port of this machine that nobody has.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // its address is known
	return l.Addr().String()
}
