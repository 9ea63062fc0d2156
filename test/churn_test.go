package test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// churning is a gateway whose backends and routes come, go, change their names
// and places in the file. Each route has a backend of its own; two paths are
// always served: /app, by a route that stays, and /moved, by one that has
// another name and another backend after each change, and whose requests wait
// for a judgement between the route and the backend.
type churning struct {
	*gateway
	t      *testing.T
	random *rand.Rand
	app    service // answers /app and /moved
	extra  service // answers what comes and goes
	names  []string
	next   int // number of the next name
	change int
}

// hostsOf are routes of hosts at one moment: a name alone, the wildcard over it
// beside it, the wildcard alone, and none.
var hostsOf = []string{
	"",
	"  - {name: host, match: {hosts: [a.churn.org], path: /host}, auth: public, to: [{backend: app}]}\n",
	"  - {name: host, match: {hosts: [a.churn.org, b.churn.org], path: /host}, auth: public, to: [{backend: app}]}\n" +
		"  - {name: wild, match: {hosts: [\"*.churn.org\"], path: /host/**}, auth: public, to: [{backend: app}]}\n",
	"  - {name: wild, match: {hosts: [\"*.churn.org\"], path: /host/**}, auth: public, to: [{backend: app}]}\n",
}

func (c *churning) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "listeners:\n  - {name: public, address: \"{{listen \"public\"}}\"}\nbackends:\n  app: {endpoints: [%q]}\n", c.app.Addr())
	fmt.Fprintf(&b, "  moved-%d: {endpoints: [%q]}\n", c.change, c.app.Addr())
	for _, name := range c.names {
		fmt.Fprintf(&b, "  %s: {endpoints: [%q]}\n", name, c.extra.Addr())
	}
	b.WriteString("limits:\n  wide: {key: [clientIP], tokenBucket: {capacity: 1000000, refill: 1000000/s}}\n")
	b.WriteString("routes:\n  - {name: app, match: {path: /app/**}, auth: public, to: [{backend: app}]}\n")
	for _, name := range c.names {
		fmt.Fprintf(&b, "  - {name: %s, match: {path: /%s}, auth: public, to: [{backend: %s}]}\n", name, name, name)
	}
	fmt.Fprintf(&b, "  - {name: moved-%d, match: {path: /moved}, auth: public, limits: [wide], to: [{backend: moved-%d}]}\n", c.change, c.change)
	b.WriteString(hostsOf[c.change%len(hostsOf)])
	if c.change >= churns/3 && c.change < churns*2/3 {
		b.WriteString(manyRoutes(50, 20)) // from here on host by host, also when they are gone again
	}
	return b.String()
}

// churns is how many changes there are.
const churns = 60

// apply writes the config of now, and waits until the newest name is served
// and the one that is gone is not.
func (c *churning) apply(gone string) {
	c.t.Helper()
	c.change++
	c.replace(c.config())
	c.answers("/"+c.names[len(c.names)-1], http.StatusOK)
	if gone != "" {
		c.answers("/"+gone, http.StatusNotFound)
	}
}

// answers waits until a path has this status. Before, it is there or not, but
// no error.
func (c *churning) answers(path string, status int) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("change %d: %s is %d", c.change, path, status), func() error {
		r := get(c.t, c.url("public", path))
		if r.Status != http.StatusOK && r.Status != http.StatusNotFound {
			c.t.Errorf("change %d: %s meanwhile: %v", c.change, path, errStatus(r))
		}
		if r.Status != status {
			return errStatus(r)
		}
		return nil
	})
}

func (c *churning) add() {
	c.next++
	c.names = append(c.names, fmt.Sprintf("churn-%d", c.next))
}

// take takes a name away, and returns it. What is asked of it at that moment,
// and takes its time, comes to its end.
func (c *churning) take(answer chan<- error, delay time.Duration) string {
	c.t.Helper()
	i := c.random.IntN(len(c.names))
	name := c.names[i]
	before, ask := c.extra.Requests(), c.asksFor("/"+name+"?delay="+delay.String())
	go func() {
		err := ask()
		if err != nil {
			err = fmt.Errorf("change %d, a slow answer of %s, which has gone: %w", c.change, name, err)
		}
		answer <- err
	}()
	eventually(c.t, "the slow request is on its way", func() error {
		if c.extra.Requests() == before {
			return errors.New("it is not")
		}
		return nil
	})
	c.names = slices.Delete(c.names, i, i+1)
	return name
}

// asksBy is a request of a client of its own, to a host.
func (c *churning) asksBy(client *http.Client, host, path string) func() error {
	url := c.url("public", path)
	return func() error {
		r, err := tryBy(client, url, host)
		if err == nil && r.Status != http.StatusOK {
			err = errStatus(r)
		}
		return err
	}
}

// TestChurnUnderLoad: sixty changes, over the threshold from which on routes
// are served host by host, and no request fails: on new connections and old
// ones, of HTTP/1.1 and HTTP/2, quick and slow, to a host that routes name, to
// one that only a wildcard covers, and to none.
func TestChurnUnderLoad(t *testing.T) {
	t.Parallel()
	c := &churning{t: t, random: rand.New(rand.NewPCG(6, 7)), app: backend(t, "app"), extra: backend(t, "extra")}
	c.add()
	c.gateway = start(t, setup{config: c.config()})
	var h2 http.Protocols
	h2.SetUnencryptedHTTP2(true)
	kept, fresh, multiplexed := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}},
		&http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
		&http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{Protocols: &h2}}
	t.Cleanup(kept.CloseIdleConnections)
	t.Cleanup(multiplexed.CloseIdleConnections)
	var sends []func() error
	for i, client := range []*http.Client{kept, fresh, multiplexed} {
		host := []string{"a.churn.org", "b.churn.org", "c.churn.org"}[i]
		sends = append(sends, c.asksBy(client, "", "/app/1"), c.asksBy(client, host, "/app/1"), c.asksBy(client, "", "/moved"),
			c.asksBy(client, host, "/app/1?delay=1200ms"), c.asksBy(client, "", "/moved?delay=1700ms"))
	}
	requests := steady(sends...)

	answers := make(chan error, churns+1)
	slow := 0
	for range churns {
		gone := ""
		switch kind := c.random.IntN(4); {
		case kind == 0 || len(c.names) < 3:
			c.add()
		case kind == 1: // another name
			slow++
			gone = c.take(answers, time.Second)
			c.add()
		case kind == 2: // another order
			c.random.Shuffle(len(c.names), func(i, j int) { c.names[i], c.names[j] = c.names[j], c.names[i] })
		default:
			slow++
			gone = c.take(answers, time.Second)
		}
		c.apply(gone)
		if t.Failed() {
			break
		}
	}
	// Nothing else is published, and the clusters of what has gone go, too.
	slow++
	c.apply(c.take(answers, 6*time.Second))
	for range slow {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	requests.stop(t)
	if log := c.stderr.String(); strings.Contains(log, "envoys do not answer") || strings.Contains(log, "refused") {
		t.Error("Envoy did not answer, or refused")
	}
}

// TestStoppedEnvoyCatchesUp: one of two Envoys stands still in the middle of a
// publication. Changes go on reaching the other; no request to it fails; and
// the first, when it goes on, has the newest config.
func TestStoppedEnvoyCatchesUp(t *testing.T) {
	t.Parallel()
	app := backend(t, "app")
	g := start(t, setup{config: withMore(app.Addr())})
	second := startSecondEnvoy(t, g, "DELTA_GRPC")
	living, standing := pinned(t, g, "public", g.stdout, second.log), pinned(t, g, "public", second.log, g.stdout)
	c := &churning{gateway: g}
	requests := steady(c.asksBy(living, "", "/app/1"), c.asksBy(living, "", "/app/2?delay=300ms"))
	serves := func(client *http.Client, name string) {
		t.Helper()
		// A publication waits for an Envoy that stands still, but not for ever.
		deadline, ask := time.Now().Add(60*time.Second), c.asksBy(client, "", "/"+name)
		for err := ask(); err != nil; err = ask() {
			if time.Now().After(deadline) {
				t.Fatalf("%s is not served: %v", name, err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	more := []string{"before"}
	g.write(withMore(app.Addr(), more...))
	serves(living, "before")
	serves(standing, "before")

	more = append(more, "amid")
	g.write(withMore(app.Addr(), more...))
	if err := second.process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	serves(living, "amid")
	t.Logf("with an Envoy that stands still, a change took %v", time.Since(began))
	g.write(withMore(app.Addr(), append(more[1:], "after")...))
	serves(living, "after")
	if err := second.process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	serves(standing, "after")
	eventually(t, "both Envoys are up to date, and the route that went is gone", func() error {
		r, code := g.status()
		if code != 0 || len(r.Envoys) != 2 {
			return fmt.Errorf("exit code %d: %+v", code, r)
		}
		for _, client := range []*http.Client{living, standing} {
			if r, err := tryBy(client, g.url("public", "/before"), ""); err != nil || r.Status != http.StatusNotFound {
				return fmt.Errorf("%v, %w", err, errStatus(r))
			}
		}
		return nil
	})
	requests.stop(t)
}
