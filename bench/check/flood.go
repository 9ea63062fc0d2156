package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// The rows of the flood.
const (
	alone           = "JWTs seen before, alone"
	besideStrangers = "the same beside tokens of another issuer"
	besideFlood     = "the same beside a flood of unknown kids"
)

const (
	// floodKIDs is how many key ids that the issuer does not have come in turn.
	floodKIDs = 10_000
	// goodRate and badRate are calls a second. Together they leave most of a core
	// free: a p99 of a machine that is full tells nothing.
	goodRate, badRate = 1000, 2000
	// badStreams is how many refused calls may be under way at once.
	badStreams = 4
	// mostOfP99 is how much the flood may add to the p99 of good traffic.
	mostOfP99 = 1.05
	// fetchEvery is how often a flood may have an issuer asked for its keys.
	fetchEvery = 30 * time.Second
)

// flood is the part of the report on tokens whose kid the issuer does not have:
// what they do to those of its users. Beside it stand, at the same rate, tokens
// that are taken apart just as far and then refused for their issuer, so that
// what differs is the looking for a key alone.
func (b *bench) flood(ctx context.Context) (_ string, err error) {
	keys, err := serveKeys(b.issuer.JWKS)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, keys.server.Close()) }()
	known, err := b.issuer.knownBy("url: \"http://" + keys.addr + "/jwks.json\"")
	if err != nil {
		return "", err
	}
	s, err := b.gatewrightFor(ctx, known)
	if err != nil {
		return "", err
	}
	good, err := known.messages("RS256", 0, b.tokens)
	if err != nil {
		return "", err
	}
	users, err := dial(s, passes)
	if err != nil {
		return "", err
	}
	rows := []*floodRow{{what: alone}, {what: besideStrangers}, {what: besideFlood}}
	for _, r := range rows[1:] {
		if r.bad, err = known.refusedMessages(r.what == besideFlood); err != nil {
			return "", err
		}
		if r.conn, err = dial(s, denied); err != nil {
			return "", err
		}
	}
	began := time.Now()
	for i := range b.rounds {
		b.say("flood, round %d of %d", i+1, b.rounds)
		for j := range rows {
			if err := rows[(i+j)%len(rows)].measure(users, good, b.time); err != nil {
				return "", err
			}
		}
	}
	fetches := keys.fetches.Load()
	return floodTable(rows, fetches, 1+int64(time.Since(began)/fetchEvery)+1), nil
}

// floodRow is good traffic beside some that is refused.
type floodRow struct {
	what       string
	conn       *rig.Connection // of bad; nil for none
	bad        [][]byte
	next       int
	good       int // calls
	refused    int
	took       time.Duration
	p50s, p99s []float64 // µs, of good traffic, a round each
}

func (r *floodRow) measure(users *rig.Connection, good [][]byte, d time.Duration) error {
	end := time.Now().Add(d)
	more := func(int) bool { return time.Now().Before(end) }
	refused := make(chan error, 1)
	go func() {
		if r.conn == nil {
			refused <- nil
			return
		}
		l, err := r.conn.Load(badStreams, paced(badRate, func() []byte {
			r.next++
			return r.bad[r.next%len(r.bad)]
		}), more)
		r.refused += l.Calls
		refused <- err
	}()
	next := 0
	l, err := users.Load(1, paced(goodRate, func() []byte {
		next++
		return good[next%len(good)]
	}), more)
	if err := errors.Join(err, <-refused); err != nil {
		return fmt.Errorf("%s: %w", r.what, err)
	}
	r.good += l.Calls
	r.took += l.Took
	r.p50s = append(r.p50s, micros(l.Latencies, 0.5))
	r.p99s = append(r.p99s, micros(l.Latencies, 0.99))
	return nil
}

// paced hands messages out at a rate. What was late is made up for, but for no more
// than a few: a machine that stood still for long is not to be met by a burst.
func paced(perSecond int, message func() []byte) func() []byte {
	const mostLate = 10
	gap := time.Second / time.Duration(perSecond)
	due := time.Now()
	return func() []byte {
		time.Sleep(time.Until(due))
		due = due.Add(gap)
		if earliest := time.Now().Add(-mostLate * gap); due.Before(earliest) {
			due = earliest
		}
		return message()
	}
}

func micros(all []time.Duration, share float64) float64 {
	return float64(rig.Quantile(all, share)) / float64(time.Microsecond)
}

func floodTable(rows []*floodRow, fetches, mostFetches int64) string {
	var out strings.Builder
	out.WriteString("\n| what | good calls | a second | refused a second | p50 | p99 (by round) | beside | goal | met |\n|---|---|---|---|---|---|---|---|---|\n")
	for i, r := range rows {
		beside, goal, met := "", "–", "–"
		if i > 0 {
			var of []float64
			for j := range r.p99s {
				of = append(of, r.p99s[j]/rows[i-1].p99s[j])
			}
			beside = fmt.Sprintf("%.2f of the p99 of the row before", rig.Median(of))
			if r.what == besideFlood {
				beside += fmt.Sprintf("; the keys were fetched %d times", fetches)
				goal = fmt.Sprintf("p99 ≤ %.2f of it; ≤ %d fetches", mostOfP99, mostFetches)
				met = rig.Yes(rig.Median(of) <= mostOfP99) + "; " + rig.Yes(fetches <= mostFetches)
			}
		}
		fmt.Fprintf(&out, "| %s | %d | %.0f | %.0f | %.0f µs | %.0f µs (%.0f to %.0f) | %s | %s | %s |\n", r.what, r.good, float64(r.good)/r.took.Seconds(), float64(r.refused)/r.took.Seconds(),
			rig.Median(r.p50s), rig.Median(r.p99s), slices.Min(r.p99s), slices.Max(r.p99s), beside, goal, met)
	}
	return out.String()
}

// refusedMessages are CheckRequests with tokens that nobody has signed: of this
// issuer with kids that it does not have, or of another one with a kid that it has.
func (i *issuer) refusedMessages(unknownKIDs bool) ([][]byte, error) {
	signed, err := i.Token("RS256", 0)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(signed, ".")
	foreign, err := rig.Payload(0, "https://somebody.else.example.com/")
	if err != nil {
		return nil, err
	}
	out := make([][]byte, floodKIDs)
	for n := range out {
		header, payload := fmt.Sprintf(`{"alg":"RS256","kid":"random-%06d","typ":"JWT"}`, n), parts[1]
		if !unknownKIDs {
			header, payload = fmt.Sprintf(`{"alg":"RS256","kid":"rsa","typ":"JWT","n":"%06d"}`, n), rig.Base64(foreign)
		}
		if out[n], err = i.message("token", "authorization", "Bearer "+rig.Base64([]byte(header))+"."+payload+"."+parts[2]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// keyServer is where the keys of an issuer are fetched.
type keyServer struct {
	server  http.Server
	addr    string
	fetches atomic.Int64
}

func serveKeys(jwks []byte) (*keyServer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for who asks for keys: %w", err)
	}
	k := &keyServer{addr: listener.Addr().String()}
	k.server.ReadHeaderTimeout = time.Minute
	k.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		k.fetches.Add(1)
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(jwks) // who asks may be gone
	})
	go func() { _ = k.server.Serve(listener) }() // until it is closed
	return k, nil
}
