package config

import "fmt"

// strangers holds the limits of requests that no route takes to exist, and to
// count by what such a request has.
func (c *checker) strangers(at *place, s *Strangers) {
	if s == nil {
		return
	}
	c.words(at.key("limits"), s.Limits)
	for i, name := range s.Limits {
		at := at.key("limits").index(i)
		limit, ok := c.cfg.Limits[name]
		if !ok {
			exists(c, at, "limit", name, c.cfg.Limits, new(place).key("limits"))
			continue
		}
		c.ends(at, limit)
		for _, part := range limit.Key {
			if part.OfCaller() {
				c.obey(at, fmt.Sprintf("counts by %s, and a stranger shows no credential: there is nobody to count", shown(string(part))))
				break
			}
		}
	}
}
