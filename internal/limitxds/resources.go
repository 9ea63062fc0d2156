package limitxds

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"

	rlsconfv3 "github.com/envoyproxy/go-control-plane/ratelimit/config/ratelimit/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/limitfiles"
)

// typeURL is that of the resources that are asked for.
const typeURL = "type.googleapis.com/ratelimit.config.ratelimit.v3.RateLimitConfig"

// resource is one that a server has sent.
type resource struct {
	// name stands in faults: that of the resource, or else what it can be told by.
	name   string
	domain string
	sent   *anypb.Any
	config *rlsconfv3.RateLimitConfig // nil: it is still, or again, in sent alone
	fault  string
}

// resources are all of a response, by name. A server has no order for them.
func resources(sent []*anypb.Any) []resource {
	out := make([]resource, len(sent))
	for i, one := range sent {
		out[i] = read(one, i)
	}
	slices.SortStableFunc(out, func(a, b resource) int { return cmp.Compare(a.name, b.name) })
	return out
}

func read(sent *anypb.Any, i int) resource {
	r := resource{name: fmt.Sprintf("resource %d", i), sent: sent}
	if url := sent.GetTypeUrl(); url != typeURL {
		r.fault = "is of the type " + config.Quoted(url) + ", must be " + typeURL
		return r
	}
	c := &rlsconfv3.RateLimitConfig{}
	if err := proto.Unmarshal(sent.GetValue(), c); err != nil {
		r.fault = "cannot be read: " + err.Error()
		return r
	}
	r.config, r.domain = c, c.GetDomain()
	if name := cmp.Or(c.GetName(), c.GetDomain()); name != "" {
		r.name = shown(name)
	}
	return r
}

// shown is a name that keeps to its line.
func shown(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// table is what resources say, or config.Faults.
func table(all []resource, o limitfiles.Options) (*limitfiles.Table, error) {
	var faults config.Faults
	trees := make([]limitfiles.Tree, 0, len(all))
	for i, r := range all {
		if r.config == nil && r.fault == "" {
			r = read(r.sent, i)
		}
		if r.fault != "" {
			faults = append(faults, config.Fault{File: r.name, Rule: r.fault})
			continue
		}
		trees = append(trees, limitfiles.Tree{Name: r.name, Root: tree(r.config)})
	}
	read, err := limitfiles.ReadTrees(trees, o)
	if more, ok := err.(config.Faults); ok {
		faults = append(faults, more...)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return read, err
}

// sum is the same for the same resources, in whatever order.
func sum(all []resource) (out [sha256.Size]byte) {
	one := make([]string, len(all))
	for i, r := range all {
		h := sha256.Sum256(r.sent.GetValue())
		one[i] = r.sent.GetTypeUrl() + " " + string(h[:])
	}
	slices.Sort(one)
	h := sha256.New()
	for _, text := range one {
		fmt.Fprintf(h, "%d %s", len(text), text)
	}
	h.Sum(out[:0])
	return out
}
