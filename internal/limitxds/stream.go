package limitxds

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
)

// maxDetail bounds what a server is told of why something is refused, in bytes. All of it
// is in the log.
const maxDetail = 8 << 10

// stream is one stream of discovery, from its first request on.
type stream struct {
	client *Client
	ads    discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient
	take   Take

	// accepted is the version that was accepted last on this stream. At the first request
	// it is empty, whatever was accepted on another one: Envoy Gateway numbers its
	// versions, and begins anew when it starts. Told its own number by chance, it would
	// send nothing, and old limits would hold until the next change.
	accepted string
	answered bool
	// until is when the server has had its time to name all domains. See leaving.
	until time.Time
	// leaving are the resources that are to be served alone at that time, or when what
	// was refused since is mended; until then, with those of domains that they lack. A server that has just started tells of one
	// part of its limits after the other, and of none at first: Envoy Gateway sends a
	// response for each Gateway that it translates. Nobody's limits are off meanwhile.
	leaving []resource
	// refused is what was refused last, since when nothing was accepted, and why; next is
	// how long the next refusal waits.
	refused refused
}

type refused struct {
	sum  [sha256.Size]byte
	err  error
	next time.Duration
}

// follow asks, and answers all that comes until the stream ends. end ends the context,
// which is that of the stream too.
func (s *stream) follow(ctx context.Context, end func()) error {
	responses, ended := make(chan *discoveryv3.DiscoveryResponse), make(chan error, 1)
	var receiving sync.WaitGroup
	receiving.Go(func() { ended <- s.receive(ctx, responses) })
	defer receiving.Wait()
	defer end()
	if err := s.request("", nil); err != nil {
		return err
	}
	settled := time.NewTimer(time.Hour)
	defer settled.Stop()
	for {
		settled.Stop()
		if s.leaving != nil && s.refused.err == nil {
			settled.Reset(time.Until(s.until))
		}
		select {
		case err := <-ended:
			return err
		case <-settled.C:
			s.leave()
		case r := <-responses:
			if err := s.answer(ctx, r); err != nil {
				return err
			}
		}
	}
}

func (s *stream) receive(ctx context.Context, to chan<- *discoveryv3.DiscoveryResponse) error {
	for {
		r, err := s.ads.Recv()
		if err != nil {
			return err
		}
		select {
		case to <- r:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// request asks for all resources and, with the nonce of a response, accepts or refuses it.
func (s *stream) request(nonce string, fault error) error {
	r := &discoveryv3.DiscoveryRequest{Node: s.client.node, TypeUrl: typeURL, VersionInfo: s.accepted, ResponseNonce: nonce}
	if fault != nil {
		r.ErrorDetail = &statuspb.Status{Code: int32(codes.InvalidArgument), Message: clipped(fault.Error())}
	}
	if err := s.ads.Send(r); !errors.Is(err, io.EOF) {
		return err
	}
	return nil // the stream has ended, and receiving tells why
}

// answer serves a response and accepts it, or refuses it.
func (s *stream) answer(ctx context.Context, r *discoveryv3.DiscoveryResponse) error {
	if r.GetTypeUrl() != typeURL {
		return fmt.Errorf("the server answers with resources of the type %q, and was asked for %s", clipped(r.GetTypeUrl()), typeURL)
	}
	if !s.answered {
		s.answered, s.until = true, time.Now().Add(s.client.settling)
	}
	all := resources(r.GetResources())
	if err := s.judge(all); err != nil {
		return s.refuse(ctx, r, sum(all), err)
	}
	s.refused, s.accepted = refused{}, r.GetVersionInfo()
	s.client.accepted(s.accepted)
	return s.request(r.GetNonce(), nil)
}

// judge serves resources, and returns why it does not. What was refused just before is
// not judged again.
func (s *stream) judge(all []resource) error {
	if s.refused.err != nil && s.refused.sum == sum(all) {
		return s.refused.err
	}
	missing := s.missing(all)
	if err := s.client.serve(slices.Concat(all, missing), s.take); err != nil {
		return err
	}
	if s.leaving = nil; len(missing) > 0 {
		s.leaving = all
		s.client.o.Log.Info("the server of rate limits, which was connected to anew, does not name all domains that are served: they have a while more",
			"domains", domains(missing), "until", s.until)
	}
	return nil
}

// missing are the resources that are served and in whose domains there is none of all,
// while the server may still name them.
func (s *stream) missing(all []resource) []resource {
	if !time.Now().Before(s.until) {
		return nil
	}
	named := map[string]bool{}
	for _, r := range all {
		named[r.domain] = true
	}
	var out []resource
	for _, r := range s.client.good {
		if !named[r.domain] {
			out = append(out, r)
		}
	}
	return out
}

// leave serves what the server has named in its time, and nothing else.
func (s *stream) leave() {
	all := s.leaving
	s.leaving = nil
	// They were served together with others: there is no fault in them.
	if err := s.client.serve(all, s.take); err != nil {
		s.client.o.Log.Error("limits that the server does not name are still served", "error", err)
	}
}

func domains(all []resource) []string {
	out := make([]string, len(all))
	for i, r := range all {
		out[i] = r.domain
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// refuse refuses a response. A server may send what was refused again at once, and so do
// those of go-control-plane, Envoy Gateway's among them: the two would keep each other
// busy. So the first refusal is told at once, and each that follows it later than the one
// before. The server has nothing else to send as long: a response is answered before the next.
func (s *stream) refuse(ctx context.Context, r *discoveryv3.DiscoveryResponse, sum [sha256.Size]byte, err error) error {
	if s.refused.err != nil && !wait(s.ads.Context(), s.refused.next) {
		return ctx.Err() // or the stream has ended, and receiving tells why
	}
	next := s.client.firstWait
	if s.refused.err != nil {
		next = min(s.refused.next*2, max(longestWait, s.client.firstWait))
	}
	s.refused = refused{sum: sum, err: err, next: next}
	s.client.metrics.refused()
	return s.request(r.GetNonce(), err)
}

// clipped is a text of a bounded length.
func clipped(text string) string {
	if len(text) <= maxDetail {
		return text
	}
	return strings.ToValidUTF8(text[:maxDetail], "") + "…"
}

// accepted notes that the server was told that a version is served.
func (c *Client) accepted(version string) {
	c.metrics.accepted()
	c.state.accepted(version, time.Now())
}

// serve serves resources, and returns why it does not: then what was served still is.
func (c *Client) serve(all []resource, take Take) error {
	sum := sum(all)
	if c.current && sum == c.sum {
		return nil
	}
	t, err := table(all, c.o.Read)
	if err = take(t, err); err != nil {
		c.current = false
		return err
	}
	c.hold(all, sum)
	if err := c.kept.save(all); err != nil {
		c.o.Log.Warn("the rate limits are not kept for the next start", "error", err)
	}
	return nil
}

// hold notes what is served.
func (c *Client) hold(all []resource, sum [sha256.Size]byte) {
	c.good, c.sum, c.current = slices.Clone(all), sum, true
	for i := range c.good {
		c.good[i].config = nil // it can be made anew
	}
}
