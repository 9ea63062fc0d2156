package explain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/xds"
)

// Outcome is what happens to a request that passes.
type Outcome struct {
	// Answer is given by the gateway itself; Location is where a redirect leads.
	Answer   *Answer `json:"answer,omitempty"`
	Location string  `json:"location,omitempty"`
	// Backends are where it may go.
	Backends []Backend `json:"backends,omitempty"`
	// Pinned is what has chosen the backend, or could; Sticky is what keeps the
	// caller there, or does not.
	Pinned string `json:"pinned,omitempty"`
	Sticky string `json:"sticky,omitempty"`
	// Rollout says how the shares move by themselves.
	Rollout string `json:"rollout,omitempty"`
	// Document is what the request is held to before it goes to a backend.
	Document string `json:"document,omitempty"`
	// Call is what the request becomes where it is transcoded, or why it becomes
	// nothing.
	Call string `json:"call,omitempty"`
	// Path and Host are what the backend sees.
	Path string `json:"path,omitempty"`
	Host string `json:"host,omitempty"`
	// Mirrors are who gets a copy.
	Mirrors []string `json:"mirrors,omitempty"`
	// Changes are what becomes of headers, in words: names alone, since values
	// may be secret.
	Changes []string `json:"changes,omitempty"`
	// Bodies are what becomes of bodies, in words.
	Bodies  []string `json:"bodies,omitempty"`
	Timeout string   `json:"timeout,omitempty"`
	Retry   string   `json:"retry,omitempty"`
	Upgrade string   `json:"upgrade,omitempty"`
	CORS    string   `json:"cors,omitempty"`
}

// Backend is where a request may go.
type Backend struct {
	Name      string   `json:"name"`
	Share     string   `json:"share"`
	Endpoints []string `json:"endpoints"`
	// Breaker is what stands before it; absent where it has none.
	Breaker *Breaker `json:"breaker,omitempty"`
}

func outcome(c *config.Config, r *config.Route, asked Asked, side authz.Side, path string) *Outcome {
	o := &Outcome{Changes: slices.Concat(changes("request", r.Request), changes("response", r.Response)), Bodies: bodies(r)}
	if r.CORS != nil {
		o.CORS = "pages of " + strings.Join(r.CORS.Origins, ", ") + " may call it by " + strings.Join(r.AllowedMethods(), ", ")
	}
	switch {
	case r.Redirect != nil:
		status := r.Redirect.Status
		if status == 0 {
			status = 302
		}
		o.Location = location(c, r, asked, path)
		o.Answer = &Answer{Status: status, Detail: "a redirect to " + o.Location}
		return o
	case r.Respond != nil:
		o.Answer = &Answer{Status: r.Respond.Status, Detail: fmt.Sprintf("an answer of the gateway's own, %d bytes", len(r.Respond.Body))}
		return o
	}
	o.Rollout = moves(r)
	o.send(c, r, asked, side)
	o.Host, o.Path = asked.Host, path
	if r.Rewrite != nil {
		if r.Rewrite.Host != "" {
			o.Host = r.Rewrite.Host
		}
		o.Path = rewritten(r, r.Rewrite.Path, path)
		if q := r.Rewrite.Query; q != nil {
			o.Changes = append(o.Changes, changes("query", &config.HeaderChanges{Set: q.Set, Add: q.Add, Remove: q.Remove, Rename: q.Rename})...)
		}
	}
	if r.OpenAPI != nil {
		o.Document = heldTo(c.OpenAPI[r.OpenAPI.Document], r.OpenAPI, asked.Method, path)
	}
	if t := r.GRPCTranscode; t != nil {
		if o.Call, o.Path = call(t, asked, path); o.Path == "" {
			o.Host = "" // no backend sees it
		}
	}
	for _, m := range r.AllMirrors() {
		share := "all requests"
		if m.Percent != nil {
			share = strconv.FormatFloat(*m.Percent, 'f', -1, 64) + " % of the requests"
		}
		o.Mirrors = append(o.Mirrors, m.Backend+" gets a copy of "+share)
	}
	o.Timeout = timeout(r.Times())
	o.Retry = retry(r)
	o.Upgrade = upgrade(r, asked)
	return o
}

// timeout says how long a request may take.
func timeout(t config.Times) string {
	switch {
	case t.Whole > 0:
		return config.Duration(t.Whole).String()
	case t.Begin > 0:
		return config.Duration(t.Begin).String() + " until the answer begins, which then may go on while something moves every " + config.Duration(t.Idle).String()
	default:
		return "none but the call's own deadline, while something moves every " + config.Duration(t.Idle).String()
	}
}

func backendOf(c *config.Config, r *config.Route, name, share string) Backend {
	b := c.Backends[name]
	return Backend{name, share, whereabouts(b), breakerOf(r, b)}
}

// whereabouts are the endpoints of a backend, or who knows them.
func whereabouts(b *config.Backend) []string {
	switch {
	case b.Discovery == nil:
		all := make([]string, len(b.Endpoints))
		for i, e := range b.Endpoints {
			all[i] = e.String()
		}
		return all
	case b.Discovery.SRV != nil:
		return []string{"what DNS has as " + b.Discovery.SRV.Name}
	case b.Discovery.Consul != nil:
		return []string{"what Consul has as " + b.Discovery.Consul.Service}
	}
	return []string{"what is in " + b.Discovery.File}
}

func sideChanges(r *config.Route, backend string) []string {
	var all []string
	for _, to := range r.To {
		if to.Backend == backend {
			for _, what := range slices.Concat(changes("request", to.Request), changes("response", to.Response)) {
				all = append(all, what+" (for "+backend+")")
			}
		}
	}
	return all
}

func changes(of string, h *config.HeaderChanges) []string {
	if h == nil {
		return nil
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(h.Set)) {
		all = append(all, of+": sets "+name)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Add)) {
		all = append(all, of+": adds "+name)
	}
	for _, name := range h.Remove {
		all = append(all, of+": removes "+name)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Rename)) {
		all = append(all, of+": renames "+name+" to "+h.Rename[name])
	}
	return all
}

// rewritten is a path, with its query, as a pattern makes it; an empty pattern
// leaves it.
func rewritten(r *config.Route, to, path string) string {
	if to == "" {
		return path
	}
	plain := withoutQuery(path)
	return xds.RewrittenPath(r.Match.Path, to, plain) + path[len(plain):]
}

// location is where a redirect leads. One that names no scheme keeps that of the
// request, which is http where no listener has TLS.
func location(c *config.Config, r *config.Route, asked Asked, path string) string {
	scheme, host := r.Redirect.Scheme, r.Redirect.Host
	if scheme == "" {
		scheme = "http"
		if slices.ContainsFunc(c.Listeners, func(l *config.Listener) bool { return l.TLS != nil }) {
			scheme = asked.Scheme
		}
	}
	if host == "" {
		host = asked.Host
	}
	usual := map[string]int{"http": 80, "https": 443}
	if p := r.Redirect.Port; p != 0 && p != usual[r.Redirect.Scheme] {
		host += ":" + strconv.Itoa(p)
	}
	return scheme + "://" + host + rewritten(r, r.Redirect.Path, path)
}

func retry(r *config.Route) string {
	if r.Retry == nil || r.Retry.Attempts == 0 {
		return "none"
	}
	on := slices.Clone(r.Retry.On)
	if len(on) == 0 {
		on = []string{"connect-failure", "refused-stream", "unavailable"}
	}
	for _, code := range r.Retry.Codes {
		on = append(on, strconv.Itoa(code))
	}
	text := fmt.Sprintf("up to %d more on %s", r.Retry.Attempts, strings.Join(on, ", "))
	if r.Retry.PerTryTimeout > 0 {
		text += ", each attempt " + r.Retry.PerTryTimeout.String()
	}
	return text
}

// upgrade says whether a request that asks for another protocol gets it.
func upgrade(r *config.Route, asked Asked) string {
	wanted, ok := asked.header("upgrade")
	switch {
	case ok && slices.Contains(r.Upgrades, strings.ToLower(wanted)):
		return "the connection is upgraded to " + strings.ToLower(wanted)
	case ok:
		return "refused: 403 upgrade-refused, since the route upgrades to " + cmp.Or(strings.Join(r.Upgrades, ", "), "nothing")
	}
	return strings.Join(r.Upgrades, ", ")
}
