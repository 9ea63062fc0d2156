package discovery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/consul"
)

// instance is what is read of an entry of /v1/health/service:
// https://developer.hashicorp.com/consul/api-docs/health#list-service-instances-for-service
type instance struct {
	Node struct {
		Address string
		Meta    map[string]string
	}
	Service struct {
		ID      string
		Address string
		Port    int
		Meta    map[string]string
		Weights struct{ Passing, Warning int }
	}
	Checks []struct{ Status string }
}

// queryTime is how long an answer may take beyond what a query waits.
const queryTime = 10 * time.Second

// watchConsul asks again and again what a service is once it is not what it was: a
// blocking query. The rules are those of Consul's documentation of them: an index that
// goes back starts anew, an index is at least 1, and queries that return too early are
// slowed down.
func (s *Store) watchConsul(ctx context.Context, src *source) {
	client, err := s.options.Consul()
	if err != nil {
		src.failed(err)
		return
	}
	var index uint64
	var pause time.Duration
	for ctx.Err() == nil {
		began := time.Now()
		instances, next, err := s.query(ctx, client, src.said.Consul, index)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			src.failed(err)
			pause = nextPause(pause)
			sleep(ctx, pause/2+rand.N(pause/2))
			index = 0 // what is there after the outage is asked for at once
			continue
		}
		pause = 0
		src.take(instances)
		if next < index {
			index = 0
		} else {
			index = max(next, 1)
		}
		sleep(ctx, s.options.Gap-time.Since(began))
	}
}

// query makes one query, which waits where an index is given.
func (s *Store) query(ctx context.Context, client *consul.Client, said *config.ConsulService, index uint64) ([]instance, uint64, error) {
	limit, query := queryTime, url.Values{}
	for _, tag := range said.Tags {
		query.Add("tag", tag)
	}
	for name, value := range map[string]string{"dc": said.Datacenter, "filter": said.Filter} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if index > 0 {
		query.Set("index", strconv.FormatUint(index, 10))
		query.Set("wait", strconv.FormatInt(s.options.Wait.Milliseconds(), 10)+"ms")
		limit += s.options.Wait + s.options.Wait/16 // Consul adds up to a sixteenth
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := client.Do(ctx, http.MethodGet, "/v1/health/service/"+said.Service, query, nil)
	switch {
	case err != nil:
		return nil, 0, err
	case answer.Status != http.StatusOK:
		return nil, 0, client.Unexpected(answer)
	}
	next, err := client.Index(answer)
	if err != nil {
		return nil, 0, err
	}
	var instances []instance
	return instances, next, errors.Join(client.Read(answer, &instances))
}

// take serves the instances that may have requests.
func (s *source) take(instances []instance) {
	said, cfg := s.said.Consul, s.judge()
	endpoints, seen := []*config.Endpoint{}, map[string]bool{}
	var part []error
	for _, i := range instances {
		e, serves := i.endpoint(said)
		if !serves || seen[e.Address] {
			continue
		}
		seen[e.Address] = true
		if rule := config.DiscoveredRule(e, cfg); rule != "" {
			part = append(part, fmt.Errorf("instance %q at %q is left out: %s", i.Service.ID, e.Address, rule))
			continue
		}
		endpoints = append(endpoints, e)
	}
	if len(endpoints) == 0 && len(s.known()) > 0 && !said.AllowEmpty {
		part = append(part, fmt.Errorf("consul has %d instances of %s, and none that is to have requests", len(instances), said.Service))
		s.failed(errors.Join(part...))
		return
	}
	s.answered(endpoints, errors.Join(part...))
}

// endpoint is where an instance is, and whether it is to have requests.
func (i *instance) endpoint(said *config.ConsulService) (e *config.Endpoint, serves bool) {
	warns := false
	for _, check := range i.Checks {
		switch check.Status {
		case "passing":
		case "warning":
			warns = true
		default: // critical, or in maintenance, which is critical too
			return nil, false
		}
	}
	if warns && said.OnlyPassing {
		return nil, false
	}
	host := i.Service.Address
	if host == "" {
		host = i.Node.Address
	}
	e = &config.Endpoint{Address: net.JoinHostPort(host, strconv.Itoa(i.Service.Port)), Weight: i.Service.Weights.Passing}
	if warns {
		e.Weight = i.Service.Weights.Warning
	}
	if e.Weight = min(max(e.Weight, 0), config.MaxWeight); e.Weight == 1 {
		e.Weight = 0 // the default, said in one way
	}
	if said.ZoneMeta != "" {
		if e.Zone = i.Service.Meta[said.ZoneMeta]; e.Zone == "" {
			e.Zone = i.Node.Meta[said.ZoneMeta]
		}
	}
	return e, true
}

// How long to wait after failures: longer after each.
const (
	leastPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
)

func nextPause(last time.Duration) time.Duration { return min(max(2*last, leastPause), mostPause) }

func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
