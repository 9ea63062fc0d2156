package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/split"
)

// send says where the request goes: to the backend that it is pinned to or kept on,
// or to one of those of the split.
func (o *Outcome) send(c *config.Config, r *config.Route, asked Asked, side authz.Side) {
	backend := o.pin(r, asked, side)
	if backend == "" && len(r.Sticky) > 0 {
		backend = o.keep(r, asked, side)
	}
	shares := shares(r)
	for _, to := range r.To {
		switch {
		case backend == "":
			o.to(c, r, to.Backend, shares[to.Backend])
		case backend == to.Backend:
			o.to(c, r, backend, "all")
		}
	}
}

// to adds a backend that the request may go to.
func (o *Outcome) to(c *config.Config, r *config.Route, backend, share string) {
	o.Backends = append(o.Backends, backendOf(c, r, backend, share))
	o.Changes = append(o.Changes, sideChanges(r, backend)...)
}

// pin is the backend that the request is pinned to, if it is.
func (o *Outcome) pin(r *config.Route, asked Asked, side authz.Side) string {
	if r.Pin == nil {
		return ""
	}
	what, backend := pinned(r.Pin, asked)
	if r.Pin.Claim != "" && side.Pinned {
		backend = side.Backend
	}
	if backend != "" {
		o.Pinned = fmt.Sprintf("the %s chooses %s", what, backend)
		return backend
	}
	o.Pinned = fmt.Sprintf("the %s could choose: %s", what, strings.Join(slices.Sorted(maps.Keys(r.Pin.Values)), ", "))
	return ""
}

// pinned is what a pin looks at, and the backend that a header or a cookie of the
// request chooses.
func pinned(p *config.Pin, asked Asked) (what, backend string) {
	switch {
	case p.Header != "":
		if value, there := asked.header(p.Header); there {
			backend = p.Values[value]
		}
		return "header " + p.Header, backend
	case p.Cookie != "":
		header, _ := asked.header("cookie")
		cookies := slices.Collect(split.Cookies(header, p.Cookie))
		for _, value := range slices.Sorted(maps.Keys(p.Values)) { // in Envoy's order
			if backend == "" && slices.Contains(cookies, value) {
				backend = p.Values[value]
			}
		}
		return "cookie " + p.Cookie, backend
	}
	return "claim " + p.Claim, ""
}

// keep is the backend that the caller is kept on, if it is.
func (o *Outcome) keep(r *config.Route, asked Asked, side authz.Side) string {
	address := side.Part == config.StickyPart(config.KeyClientIP) && asked.ClientIP == ""
	switch {
	case side.Unknown:
		o.Sticky = "by " + parts(r.Sticky) + ": the caller is not known"
	case address:
		o.Sticky = "by clientIP, which is not known; --client-ip gives one"
	case side.Part == "":
		o.Sticky = "the request has none of " + parts(r.Sticky) + ": chance decides"
	default:
		o.Sticky = fmt.Sprintf("%s keeps it on %s: point %d of %d, of which %s", side.Part, side.Backend, side.Point, split.Points, lie(split.Of(r.To)))
		return side.Backend
	}
	return ""
}

// lie says which points of the line are whose.
func lie(line split.Line) string {
	var all []string
	begin := uint32(0)
	for _, side := range line {
		if side.Width > 0 {
			all = append(all, fmt.Sprintf("%s has %d to %d", side.Backend, begin, begin+side.Width-1))
		}
		begin += side.Width
	}
	return strings.Join(all, ", ")
}

func parts(sticky []config.StickyPart) string {
	var all []string
	for _, part := range sticky {
		all = append(all, string(part))
	}
	return strings.Join(all, ", ")
}

// shares are those of the backends by their weights.
func shares(r *config.Route) map[string]string {
	if r.Rollout != nil {
		return movedShares(r)
	}
	sum, out := 0, map[string]string{}
	for _, to := range r.To {
		if to.Weight != nil {
			sum += *to.Weight
		}
	}
	for _, to := range r.To {
		out[to.Backend] = "all"
		if len(r.To) > 1 && to.Weight != nil {
			out[to.Backend] = fmt.Sprintf("%d of %d", *to.Weight, sum)
		}
	}
	return out
}
