package xds

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// wholeCache is a linear cache that tells an Envoy which speaks the state of
// the world all it has, whenever something changes. Envoy takes a response for
// scopes as the whole state, as it does for clusters and listeners; the linear
// cache knows that only of those.
type wholeCache struct {
	*cachev3.LinearCache

	mu        sync.Mutex // guards all below
	version   uint64
	resources map[string]types.Resource
	watches   map[*wholeWatch]bool
}

type wholeWatch struct {
	request *cachev3.Request
	respond chan<- cachev3.Response
}

func newWholeCache(linear *cachev3.LinearCache) *wholeCache {
	return &wholeCache{LinearCache: linear, resources: map[string]types.Resource{}, watches: map[*wholeWatch]bool{}}
}

// UpdateResources implements what the publisher asks of a cache.
func (c *wholeCache) UpdateResources(changes map[string]types.Resource, remove []string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.version++
	for name, r := range changes {
		c.resources[name] = r
	}
	for _, name := range remove {
		delete(c.resources, name)
	}
	for w := range c.watches {
		if err := c.answer(w); err != nil {
			return err
		}
	}
	return c.LinearCache.UpdateResources(changes, remove)
}

// sentVersion is the key under which a subscription remembers which state it
// was told: go-control-plane keeps it for the next watch, and a refusal does not
// change it, so that nothing is sent twice.
const sentVersion = "version"

// CreateWatch implements cachev3.ConfigWatcher.
func (c *wholeCache) CreateWatch(request *cachev3.Request, sub cachev3.Subscription, respond chan cachev3.Response) (func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &wholeWatch{request: request, respond: respond}
	if sub.ReturnedResources()[sentVersion] != c.versionText() {
		return func() {}, c.answer(w)
	}
	c.watches[w] = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watches, w)
	}, nil
}

func (c *wholeCache) versionText() string { return strconv.FormatUint(c.version, 10) }

// answer is called with mu held. The channel has room for one answer.
func (c *wholeCache) answer(w *wholeWatch) error {
	delete(c.watches, w)
	response := &discoveryv3.DiscoveryResponse{VersionInfo: c.versionText(), TypeUrl: w.request.GetTypeUrl()}
	for _, name := range sortedKeys(c.resources) {
		b, err := cachev3.MarshalResource(c.resources[name])
		if err != nil {
			return fmt.Errorf("encoding %s %q: %w", shortType(w.request.GetTypeUrl()), name, err)
		}
		response.Resources = append(response.Resources, &anypb.Any{TypeUrl: w.request.GetTypeUrl(), Value: b})
	}
	w.respond <- wholeResponse{w.request, response}
	return nil
}

// wholeResponse implements cachev3.Response.
type wholeResponse struct {
	request  *cachev3.Request
	response *discoveryv3.DiscoveryResponse
}

func (r wholeResponse) GetDiscoveryResponse() (*discoveryv3.DiscoveryResponse, error) {
	return r.response, nil
}
func (r wholeResponse) GetRequest() *cachev3.Request { return r.request }
func (r wholeResponse) GetVersion() (string, error)  { return r.response.GetVersionInfo(), nil }
func (r wholeResponse) GetResponseVersion() string   { return r.response.GetVersionInfo() }
func (r wholeResponse) GetContext() context.Context  { return context.Background() }
func (r wholeResponse) GetReturnedResources() map[string]string {
	return map[string]string{sentVersion: r.response.GetVersionInfo()}
}
