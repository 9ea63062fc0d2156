package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/internal/floods"
)

// chosen are the attacks that are measured, with the version of HTTP in their names.
func chosen(o options) []floods.Attack {
	var out []floods.Attack
	fits := regexp.MustCompile(o.attacks)
	for _, version := range versions {
		for _, a := range version.attacks() {
			a.Name = version.name + ": " + a.Name
			if fits.MatchString(a.Name) {
				out = append(out, a)
			}
		}
	}
	return out
}

var versions = []struct {
	name    string
	attacks func() []floods.Attack
}{{"HTTP/1.1", floods.HTTP1}, {"HTTP/2", floods.HTTP2}}

// attack does one, or what it is compared with, until its input ends, and then says how
// many writes it had.
func attack(ctx context.Context, o options, input io.Reader, output io.Writer) error {
	o.attacks = "^" + regexp.QuoteMeta(o.attacker) + "$"
	all := chosen(o)
	if len(all) != 1 {
		return fmt.Errorf("there is no attack %q", o.attacker)
	}
	a, one := all[0], all[0].One
	if o.harmless {
		one = harmless(a)
	}
	writes := &pacer{every: time.Second / time.Duration(o.rate), next: time.Now()}
	for range a.Connections {
		go func() {
			for ctx.Err() == nil {
				if err := one(o.addr, writes.wait); err != nil {
					writes.failed.Add(1)
				}
			}
		}()
	}
	_, _ = io.Copy(io.Discard, input) // that it ends is all that it says
	_, err := fmt.Fprintf(output, "%d %d\n", writes.done.Load(), writes.failed.Load())
	return err
}

// pacer has writes come at a rate, whoever makes them.
type pacer struct {
	every        time.Duration
	done, failed atomic.Int64

	mu   sync.Mutex // guards next
	next time.Time
}

func (p *pacer) wait() {
	p.mu.Lock()
	if now := time.Now(); p.next.Before(now.Add(-100 * time.Millisecond)) {
		p.next = now // what was missed is not made up for in one burst
	}
	at := p.next
	p.next = at.Add(p.every)
	p.mu.Unlock()
	time.Sleep(time.Until(at))
	p.done.Add(1)
}

// harmless are requests with a body as long as a write of the attack, one after the other
// on each of as many connections of the same version of HTTP.
func harmless(a floods.Attack) func(addr string, pace func()) error {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(strings.HasPrefix(a.Name, "HTTP/1.1"))
	protocols.SetUnencryptedHTTP2(strings.HasPrefix(a.Name, "HTTP/2"))
	body := bytes.Repeat([]byte{'a'}, a.Bytes)
	return func(addr string, pace func()) error {
		client := &http.Client{Transport: &http.Transport{Protocols: protocols}, Timeout: 10 * time.Second}
		defer client.CloseIdleConnections()
		for {
			pace()
			if err := send(client, "http://"+addr+"/other", body); err != nil {
				return err
			}
		}
	}
}

func send(client *http.Client, url string, body []byte) error {
	var resp *http.Response
	var err error
	if len(body) == 0 {
		resp, err = client.Get(url)
	} else {
		resp, err = client.Post(url, "text/plain", bytes.NewReader(body))
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the answer is a %d", resp.StatusCode)
	}
	return err
}
