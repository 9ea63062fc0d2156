package discovery

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatewright/gatewright/config"
)

const (
	// srvRefresh is how often records are asked for, as Envoy asks for host names.
	srvRefresh = 5 * time.Second
	// lookupTime is how long one question to one server may take, its repeats included.
	lookupTime = 5 * time.Second
)

// maxTargets bounds how many targets of a name are resolved.
const maxTargets = 1000

// lookup asks DNS servers. It is net.Resolver's, or of a test.
type lookup interface {
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// watchSRV asks for records again and again.
func watchSRV(ctx context.Context, src *source) {
	refresh := src.said.SRV.Refresh.Or(srvRefresh)
	servers := lookups(src.said.SRV.Resolvers)
	var pause time.Duration
	for ctx.Err() == nil {
		found, err := resolveSRV(ctx, servers, src.said.SRV)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			src.failed(err)
			pause = min(nextPause(pause), max(refresh, leastPause))
			sleep(ctx, pause/2+rand.N(pause/2))
			continue
		}
		pause = 0
		src.takeTargets(found)
		sleep(ctx, refresh)
	}
}

// lookups are the servers to ask, each by itself, or those of the machine.
func lookups(resolvers []string) []lookup {
	if len(resolvers) == 0 {
		return []lookup{net.DefaultResolver}
	}
	var all []lookup
	for _, address := range resolvers {
		all = append(all, &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		}})
	}
	return all
}

// asked is the answer of the first server that has one. That there is no such name is
// an answer, too: notFound tells it.
func asked[T any](ctx context.Context, servers []lookup, ask func(context.Context, lookup) (T, error)) (answer T, notFound bool, err error) {
	for _, server := range servers {
		limited, cancel := context.WithTimeout(ctx, lookupTime)
		answer, err = ask(limited, server)
		cancel()
		var dns *net.DNSError
		if err == nil || errors.As(err, &dns) && dns.IsNotFound {
			return answer, err != nil, nil
		}
	}
	return answer, false, err
}

// target is what a record says, and the addresses of the host that it names.
type target struct {
	*net.SRV
	addresses []netip.Addr
}

// resolveSRV are the targets of a name. The error is why they are not known; of a target
// without an address there are none in it.
func resolveSRV(ctx context.Context, servers []lookup, said *config.SRVRecords) ([]target, error) {
	records, notFound, err := asked(ctx, servers, func(ctx context.Context, l lookup) ([]*net.SRV, error) {
		_, records, err := l.LookupSRV(ctx, "", "", said.Name)
		if len(records) > 0 {
			err = nil // which tells of records beside them whose names are none
		}
		return records, err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("asking for the records: %w", err)
	case notFound:
		return nil, nil
	case len(records) > maxTargets:
		return nil, fmt.Errorf("DNS has %d records, and %d are the most that are followed", len(records), maxTargets)
	}
	var all []target
	for _, r := range records {
		if r.Target == "." {
			continue // the service is decidedly not there (RFC 2782)
		}
		addresses, _, err := asked(ctx, servers, func(ctx context.Context, l lookup) ([]netip.Addr, error) {
			return l.LookupNetIP(ctx, "ip", r.Target)
		})
		if err != nil {
			// Some endpoints less, since a server is slow, would be a wrong answer.
			return nil, fmt.Errorf("asking for the addresses of %s: %w", r.Target, err)
		}
		all = append(all, target{r, ofFamily(addresses, said.Addresses)})
	}
	return all, nil
}

// ofFamily are the addresses that are to be used, each once.
func ofFamily(all []netip.Addr, family config.DNSFamily) []netip.Addr {
	var v4, v6 []netip.Addr
	for _, a := range all {
		if a = a.Unmap(); a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	switch {
	case family == config.DNSIPv4Only, len(v6) == 0 && family != config.DNSIPv6Only:
		return v4
	case family == config.DNSIPv6Only, len(v4) == 0, family == config.DNSIPv6First && len(v6) > 0:
		return v6
	case family == config.DNSBoth:
		return slices.Concat(v4, v6)
	}
	return v4
}

// takeTargets serves the addresses of targets that may have requests.
func (s *source) takeTargets(targets []target) {
	said, cfg := s.said.SRV, s.judge()
	var part []error
	for _, t := range targets {
		if len(t.addresses) == 0 {
			part = append(part, fmt.Errorf("the target %s is left out: it has no address", strings.TrimSuffix(t.Target, ".")))
		}
	}
	endpoints := []*config.Endpoint{}
	for _, e := range endpointsOf(targets, said.Zone) {
		if rule := config.DiscoveredRule(e, cfg); rule != "" {
			part = append(part, fmt.Errorf("the address %s is left out: %s", e.Address, rule))
			continue
		}
		endpoints = append(endpoints, e)
	}
	sameWeights(endpoints)
	ranked(endpoints)
	if len(endpoints) == 0 && len(s.known()) > 0 && !said.AllowEmpty {
		part = append(part, fmt.Errorf("DNS has no target of %s that is to have requests", said.Name))
		s.failed(errors.Join(part...))
		return
	}
	s.answered(endpoints, errors.Join(part...))
}

// endpointsOf are the endpoints that targets are, in the priorities of their records. A
// target's weight is shared out among its addresses, and weights are scaled to those that
// endpoints have: a weight of 0 is the least, since it has a very small chance (RFC 2782).
func endpointsOf(targets []target, zone string) []*config.Endpoint {
	targets = slices.DeleteFunc(slices.Clone(targets), func(t target) bool { return len(t.addresses) == 0 })
	most := 0.0
	for _, t := range targets {
		most = max(most, t.share())
	}
	scale := 1.0
	if most > config.MaxWeight || !wholeShares(targets) {
		scale = config.MaxWeight / most
	}
	var all []*config.Endpoint
	seen := map[string]*config.Endpoint{}
	for _, t := range targets {
		for _, address := range t.addresses {
			e := &config.Endpoint{
				Address: net.JoinHostPort(address.String(), strconv.Itoa(int(t.Port))), Zone: zone, Priority: int(t.Priority),
				Weight: max(1, int(math.Round(t.share()*scale))),
			}
			// Two targets may have one address: it is one endpoint, in the better rank.
			if known := seen[e.Address]; known != nil {
				known.Priority = min(known.Priority, e.Priority)
				known.Weight = min(known.Weight+e.Weight, config.MaxWeight)
				continue
			}
			seen[e.Address] = e
			all = append(all, e)
		}
	}
	return all
}

// share is a target's weight for each of its addresses.
func (t target) share() float64 { return float64(t.Weight) / float64(len(t.addresses)) }

func wholeShares(targets []target) bool {
	return !slices.ContainsFunc(targets, func(t target) bool { return t.share() != math.Trunc(t.share()) })
}

// sameWeights says weights that are all the same, or 1, in one way: as none.
func sameWeights(all []*config.Endpoint) {
	same := !slices.ContainsFunc(all, func(e *config.Endpoint) bool { return e.Weight != all[0].Weight })
	for _, e := range all {
		if same || e.Weight == 1 {
			e.Weight = 0
		}
	}
}

// ranked makes ranks of priorities: the lowest is the first, there are no gaps, and what
// is beyond the last rank is in it.
func ranked(all []*config.Endpoint) {
	var priorities []int
	for _, e := range all {
		priorities = append(priorities, e.Priority)
	}
	slices.Sort(priorities)
	priorities = slices.Compact(priorities)
	for _, e := range all {
		e.Priority = min(slices.Index(priorities, e.Priority), config.MaxRank)
	}
}
