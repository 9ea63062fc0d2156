package store

import (
	"context"
	"net"
	"net/url"
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

// start starts it on a data directory.
func (s *etcdServer) start(dir string) {
	s.t.Helper()
	client, peer := url.URL{Scheme: "http", Host: s.address}, url.URL{Scheme: "http", Host: freeAddress(s.t)}
	c := embed.NewConfig()
	c.Dir = dir
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	c.UnsafeNoFsync = true
	c.BcryptCost = 4 // the least, for tests with passwords
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.etcd = e
	select {
	case <-e.Server.ReadyNotify():
	case <-time.After(patience):
		s.t.Fatal("etcd does not start")
	}
	s.own, err = clientv3.New(clientv3.Config{Endpoints: []string{client.String()}, Logger: zap.NewNop()})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *etcdServer) stop() {
	if s.etcd == nil {
		return
	}
	_ = s.own.Close() // a test's own connection: nothing is lost
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
