package config

import "strings"

// headerChanges holds what is set and added to a rule of its direction, what is
// removed to headers that a message can be without, and each header to one
// change.
func (c *checker) headerChanges(at *place, h *HeaderChanges, setRule func(name string) string) {
	if h == nil {
		return
	}
	headerKeys(c, at.key("set"), h.Set, setRule)
	headerKeys(c, at.key("add"), h.Add, setRule)
	c.headerCount(at, len(h.Set)+len(h.Add))
	c.headerValues(at.key("set"), h.Set)
	c.headerValues(at.key("add"), h.Add)
	set, added := folded(h.Set), folded(h.Add)
	for _, name := range sorted(h.Add) {
		if set[strings.ToLower(name)] {
			c.obeyUnshown(at.key("add").key(name), "is also set: a header is set or added to")
		}
	}
	seen := map[string]bool{}
	for i, name := range h.Remove {
		at, folded := at.key("remove").index(i), strings.ToLower(name)
		c.obey(at, headerRule(name, "must not be removed: it frames the message", framing))
		c.must(!seen[folded], at, "is listed twice")
		c.must(!set[folded], at, "is also set: a header is set or removed")
		c.must(!added[folded], at, "is also added to: a header is added to or removed")
		seen[folded] = true
	}
	c.renames(at.key("rename"), h, setRule)
}

// literal holds changes to be the same for all requests, and to no new names.
func (c *checker) literal(at *place, h *HeaderChanges) {
	if h == nil {
		return
	}
	c.noVariables(at.key("set"), h.Set)
	c.noVariables(at.key("add"), h.Add)
	c.must(len(h.Rename) == 0, at.key("rename"), "must stand at a route that has a backend, and not at one side of it")
}

// made holds the values of a route's changes to what they can be made of.
func (c *checker) made(at *place, h *HeaderChanges, r *Route) {
	if h != nil {
		c.variables(at.key("set"), h.Set, r)
		c.variables(at.key("add"), h.Add, r)
	}
}

// tells holds the headers by which a backend hears of who the caller is to be for
// that alone: they are taken out of what clients send, on every route.
func (c *checker) tells(at *place, values map[string]string) {
	for _, name := range sorted(values) {
		if !template(values[name]).TellsIdentity() {
			continue
		}
		c.obeyUnshown(at.key(name), forwardHeaderRule(name))
		if c.keyHeaders[strings.ToLower(name)] {
			c.obeyUnshown(at.key(name), "must not be a header that API keys come in: it is taken out of what clients send")
		}
	}
}

// onlyHere holds the changes of a destination to headers that its route does
// not change. Otherwise it would hang on Envoy's order which of the two stays.
func (c *checker) onlyHere(at *place, h, ofRoute *HeaderChanges) {
	if h == nil || ofRoute == nil {
		return
	}
	route := ofRoute.names()
	const rule = "is also changed by the route: change it in one of the two"
	for _, name := range sorted(h.Set) {
		if route[strings.ToLower(name)] {
			c.obeyUnshown(at.key("set").key(name), rule)
		}
	}
	for _, name := range sorted(h.Add) {
		if route[strings.ToLower(name)] {
			c.obeyUnshown(at.key("add").key(name), rule)
		}
	}
	for i, name := range h.Remove {
		c.must(!route[strings.ToLower(name)], at.key("remove").index(i), rule)
	}
}

// names are the headers that are changed, in lower case.
func (h *HeaderChanges) names() map[string]bool {
	names := folded(h.Set)
	for name := range folded(h.Add) {
		names[name] = true
	}
	for _, name := range h.Remove {
		names[strings.ToLower(name)] = true
	}
	for from, to := range h.Rename {
		names[strings.ToLower(from)], names[strings.ToLower(to)] = true, true
	}
	return names
}

// folded are the keys of a mapping of headers in lower case.
func folded(headers map[string]string) map[string]bool {
	out := make(map[string]bool, len(headers))
	for name := range headers {
		out[strings.ToLower(name)] = true
	}
	return out
}

func (c *checker) requestSetRule(name string) string {
	switch {
	case c.identity[strings.ToLower(name)]:
		return "must not be set: identity is forwarded in this header, and comes from the provider alone"
	case traced.has(name):
		return "must not be set: the gateway sets it"
	}
	return headerRule(name, "must not be set: it frames the message or steers Envoy", framing, envoys)
}

func responseSetRule(name string) string {
	return headerRule(name, "must not be set: it frames the message or steers Envoy", framing, envoys)
}
