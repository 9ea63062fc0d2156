package store

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/embed"
)

// openEtcd opens a store that reads often without a bell.
func openEtcd(t *testing.T, location string) *ledger {
	t.Helper()
	s := openWith(t, location, Settings{}, "")
	s.medium.(*etcd).audit = 200 * time.Millisecond
	return s
}

func TestEtcdDownAtStart(t *testing.T) {
	t.Parallel()
	server := &etcdServer{t: t, address: freeAddress(t)}
	t.Cleanup(server.stop)
	s := openEtcd(t, server.location())
	_, err := s.Read(background) // ends by itself
	if err == nil || !strings.Contains(err.Error(), "etcd at "+server.address+" does not answer") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("the error does not say who does not answer and why: %v", err)
	}
	w := watch(t, s, nil)
	w.untilFailure("does not answer")
	server.start(t.TempDir())
	server.put("gw/config", "one")
	w.until("one")
	w.quiet()
}

// TestEtcdStopped: the last content stands while etcd is away, and what
// changed meanwhile is delivered.
func TestEtcdStopped(t *testing.T) {
	t.Parallel()
	server, dir := &etcdServer{t: t, address: freeAddress(t)}, t.TempDir()
	t.Cleanup(server.stop)
	server.start(dir)
	s := openEtcd(t, server.location())
	apply(t, s, "one", Write{})
	w := watch(t, s, nil)
	w.until("one")
	server.stop()
	w.untilFailure("does not answer")
	server.start(dir)
	server.put("gw/config", "two")
	w.until("two")
	w.quiet()
	apply(t, s, "three", Write{})
	want(t, "history", strings.Join(contents(t, s), " "), "one two three")
}

// TestEtcdGoesBack: a cluster restored from a backup has lower revisions.
func TestEtcdGoesBack(t *testing.T) {
	t.Parallel()
	server := startEtcd(t)
	s := openEtcd(t, server.location())
	for range 50 {
		server.put("other", "x")
	}
	apply(t, s, "one", Write{})
	apply(t, s, "two", Write{})
	base := read(t, s).Revision
	w := watch(t, s, nil)
	w.until("two")
	server.stop()
	server.start(t.TempDir())
	server.put("gw/config", "restored")
	w.until("restored")
	// The watch goes on from there.
	server.put("gw/config", "after")
	w.until("after")
	_, err := s.Apply(background, []byte("x"), Write{Who: "ann", Expected: base})
	wantError(t, err, ErrConflict)
}

// TestEtcdRevisionIsReused: after a backup was restored, the mod revision that
// a writer has read may name another content.
func TestEtcdRevisionIsReused(t *testing.T) {
	t.Parallel()
	server := startEtcd(t)
	s := openEtcd(t, server.location())
	first := server.put("gw/config", "one")
	base := read(t, s).Revision
	server.stop()
	server.start(t.TempDir())
	want(t, "the revision", server.put("gw/config", "another"), first)
	_, err := s.Apply(background, []byte("two"), Write{Who: "ann", Expected: base})
	wantError(t, err, ErrConflict)
}

// TestEtcdCompacted: while the watch was cut off, the revisions after its own
// were removed.
func TestEtcdCompacted(t *testing.T) {
	t.Parallel()
	server := startEtcd(t)
	p := startProxy(t, server.address)
	s := openEtcd(t, "etcd://"+p.address()+"/gw/config")
	server.put("gw/config", "one")
	w := watch(t, s, nil)
	w.until("one")
	p.cut()
	w.untilFailure("does not answer")
	server.put("gw/config", "two")
	_, err := server.own.Compact(background, server.put("gw/config", "three"))
	must(t, err)
	p.mend()
	w.until("three")
	server.put("gw/config", "four")
	w.until("four")
}

// TestEtcdWatchOfCompactedRevision: it says to read again, at once.
func TestEtcdWatchOfCompactedRevision(t *testing.T) {
	t.Parallel()
	server := startEtcd(t)
	s := openWith(t, server.location(), Settings{}, "").medium.(*etcd)
	s.audit = time.Hour
	old := server.put("gw/config", "one")
	server.put("gw/config", "two")
	_, err := server.own.Compact(background, server.put("gw/config", "three"))
	must(t, err)
	ctx, cancel := context.WithTimeout(background, patience)
	defer cancel()
	must(t, s.changed(ctx, old))
	must(t, ctx.Err())
}

// TestEtcdRingsAtOnce: a change is heard by the watch, not only by the reads
// that come without a bell.
func TestEtcdRingsAtOnce(t *testing.T) {
	t.Parallel()
	server := startEtcd(t)
	s := openWith(t, server.location(), Settings{}, "")
	s.medium.(*etcd).audit = time.Hour
	server.put("gw/config", "one")
	w := watch(t, s, nil)
	w.until("one")
	server.put("gw/config", "two")
	w.until("two")
}

// TestEtcdWithoutLeader: a member that is cut off from the others does not pass
// for one that has no news.
func TestEtcdWithoutLeader(t *testing.T) {
	t.Parallel()
	members := startEtcdCluster(t)
	s := openEtcd(t, members[0].location())
	members[0].put("gw/config", "one")
	w := watch(t, s, nil)
	w.until("one")
	// A watch that hears of it by itself.
	bell := openEtcd(t, members[0].location()).medium.(*etcd)
	bell.audit = time.Hour
	_, revision, err := bell.headAt(background)
	must(t, err)
	ctx, cancel := context.WithTimeout(background, patience)
	defer cancel()
	rung := make(chan error, 1)
	go func() { rung <- bell.changed(ctx, revision) }()
	members[1].stop()
	members[2].stop()
	if err := <-rung; !errors.Is(err, rpctypes.ErrNoLeader) {
		t.Errorf("the watch ends with %v", err)
	}
	w.untilFailure("etcd")
	members[1].restart()
	members[1].put("gw/config", "two")
	w.until("two")
}

func TestEtcdTooLarge(t *testing.T) {
	t.Parallel()
	server := startEtcd(t)
	s := openEtcd(t, server.location())
	apply(t, s, "one", Write{})
	for _, size := range []int{1 << 20, 4 << 20} {
		noise := make([]byte, size)
		_, _ = rand.Read(noise) // never fails
		_, err := s.Apply(background, noise, Write{Who: "ann"})
		wantError(t, err, ErrTooLarge)
		if err != nil && !strings.Contains(err.Error(), "1.5 MiB") {
			t.Errorf("the error does not say the limit: %v", err)
		}
	}
	want(t, "content", string(read(t, s).Data), "one")
	want(t, "versions", len(history(t, s)), 1)
}

// TestEtcdPassword: without the right one there is no config, and it is in no
// error.
func TestEtcdPassword(t *testing.T) {
	t.Parallel()
	const password = "correct-horse"
	server := startEtcd(t)
	server.put("gw/config", "one")
	for _, err := range []error{
		second(server.own.RoleAdd(background, "root")),
		second(server.own.UserAdd(background, "root", password)),
		second(server.own.UserGrantRole(background, "root", "root")),
		second(server.own.AuthEnable(background)),
	} {
		must(t, err)
	}
	s := openWith(t, server.location(), Settings{EtcdUsername: "root", EtcdPassword: password}, "")
	apply(t, s, "two", Write{})
	w := watch(t, s, nil)
	w.until("two")
	apply(t, s, "three", Write{})
	w.until("three")
	for _, settings := range []Settings{{}, {EtcdUsername: "root", EtcdPassword: password + "!"}} {
		s := openWith(t, server.location(), settings, "")
		_, err := s.Read(background)
		if err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("without the password: %v", err)
		}
		watch(t, s, nil).untilFailure("etcdserver: ")
	}
}

func second[T any](_ T, err error) error { return err }

func TestEtcdTLS(t *testing.T) {
	t.Parallel()
	server, dir := &etcdServer{t: t, address: freeAddress(t), scheme: "https"}, t.TempDir()
	t.Cleanup(server.stop)
	server.start(dir, func(c *embed.Config) { c.ClientAutoTLS, c.SelfSignedCertValidity = true, 1 })
	location := "etcds://" + server.address + "/gw/config"
	s := openWith(t, location, Settings{EtcdCA: filepath.Join(dir, "fixtures", "client", "cert.pem")}, "")
	apply(t, s, "one", Write{})
	want(t, "content", string(read(t, s).Data), "one")

	_, err := openWith(t, location, Settings{}, "").Read(background)
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody trusts: %v", err)
	}
}
