// Package explain tells people what the gateway would do with a request: which
// route takes it and why no other, what its policy says of the request, and what
// would happen then. It asks the very packages that do it, and nobody else: it
// needs no network and no store, and says what cannot be told without them.
package explain

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/routing"
	"github.com/gatewright/gatewright/xds"
)

// Options are what a request is explained by.
type Options struct {
	// Config is a valid config.
	Config *config.Config
	// KeySets have the keys of the providers whose keys are at hand. Tokens of
	// the others are not verified.
	KeySets *authz.KeySets
	// At is when the request comes.
	At time.Time
	// ClientIPKey is what limits count by for a client's address.
	ClientIPKey func(address string, bits int) string
}

// Asked is a request as a client sends it.
type Asked struct {
	Method, Scheme, Host string
	// Path is with its query, as it is sent: nothing is escaped or cleaned.
	Path string
	// Headers are lines, each a name and a value.
	Headers [][2]string
	// ClientIP is where it comes from; empty is not known.
	ClientIP string
	// ClientCertificate is the one that the client shows, in PEM; empty is none.
	ClientCertificate string
}

// Report is what would happen.
type Report struct {
	Request Request `json:"request"`
	// Refused is why the listener refuses the request before any route sees it.
	Refused *Answer `json:"refused,omitempty"`
	// Notes are what the listener does to the request first.
	Notes []string `json:"notes,omitempty"`
	routing.Explanation
	// Auth, Limits and Then are of the route, and absent where there is none: but
	// for the limits of strangers.
	Auth   *Auth    `json:"auth,omitempty"`
	Limits []Limit  `json:"limits,omitempty"`
	Then   *Outcome `json:"then,omitempty"`
	// Placement is where the route's policy runs, by listener.
	Placement []Placement `json:"placement,omitempty"`
}

// Request is the request as routes see it.
type Request struct {
	Method string `json:"method"`
	Host   string `json:"host"`
	Path   string `json:"path"`
}

// Answer is an answer that the gateway gives by itself.
type Answer struct {
	Status int    `json:"status"`
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail"`
}

// Explain is the report on a request.
func Explain(ctx context.Context, o Options, asked Asked) Report {
	r := Report{Request: Request{asked.Method, asked.Host, asked.Path}, Explanation: routing.Explanation{Candidates: []routing.Candidate{}}}
	asked, refused := r.received(o.Config, asked)
	if refused == nil {
		refused = r.normalized(asked)
	}
	judge := authz.New(authz.Options{KeySets: o.KeySets, ClientIPKey: o.ClientIPKey, Clock: func() time.Time { return o.At }})
	if refused != nil {
		r.Refused = refused
		if answeredByRoute(asked, refused) {
			r.Limits = strangersLimits(ctx, judge, o.Config, xds.RefusedRoute, asked)
		}
		r.Request.Path = withoutQuery(r.Request.Path)
		return r
	}
	if o.Config.AnswersChallenges() && strings.HasPrefix(r.Request.Path, config.ChallengePath) {
		r.Refused = &Answer{Status: 404, Reason: string(authz.ReasonRouteNotFound), Detail: "the gateway answers here what ACME authorities look for, and nothing else"}
		r.Request.Path = withoutQuery(r.Request.Path)
		return r
	}
	table := routing.NewTable(o.Config)
	wanted := routing.Request{Host: r.Request.Host, Method: asked.Method, Path: r.Request.Path, Header: asked.header}
	r.Explanation = table.Explain(wanted)
	secrets := credentials(o.Config)
	secrets.hide(&r, wanted)
	if r.Chosen == nil {
		r.noRoute(table, wanted)
		if answeredByRoute(asked, r.Refused) {
			r.Limits = strangersLimits(ctx, judge, o.Config, xds.NotFoundRoute, asked)
		}
		return r
	}
	asked.Host = r.Request.Host
	policy := authz.NewPolicy(o.Config, r.Chosen, false)
	x := judge.Examine(ctx, policy, authz.Examined{Route: r.Route, Method: asked.Method, Host: r.Request.Host, Path: wanted.Path, Headers: asked.Headers, ClientIP: asked.ClientIP, ClientCertificate: asked.ClientCertificate, Split: authz.SplitOf(r.Chosen)})
	r.Auth = auth(policy, x, o.At)
	r.Limits = limits(policy, x, asked)
	r.Placement = placements(o.Config, r.Chosen, policy, r.Auth, asked)
	r.Then = outcome(o.Config, r.Chosen, asked, x.Side, hidden(wanted.Path, secrets.parameters, withoutKeys(policy)))
	return r
}

// received is a request once the listener has taken away what clients may not
// say, or why the listener refuses it.
func (r *Report) received(c *config.Config, asked Asked) (Asked, *Answer) {
	for _, l := range c.Listeners {
		if l.RedirectToHTTPS != nil && asked.Scheme == "http" {
			r.Notes = append(r.Notes, "the listener "+l.Name+" redirects each request to https: what follows is of others")
		}
	}
	tracing := config.TracingHeaders()
	var kept [][2]string
	for _, h := range asked.Headers {
		name := strings.ToLower(h[0])
		switch {
		case strings.Contains(name, "_"):
			return asked, &Answer{Status: 400, Detail: "the header " + h[0] + " has an underscore, which some backends read as a dash"}
		case slices.Contains(tracing, name) && !xds.Takes(c, name):
			if c.Tracing.Trust == config.TrustProxies {
				r.Notes = append(r.Notes, "the header "+h[0]+" is taken away but from proxies that trustedHops or trustedProxies says")
			}
			kept = append(kept, h)
		case slices.Contains(tracing, name) && !c.Traces():
			r.Notes = append(r.Notes, "the header "+h[0]+" is taken away: requests are a part of no trace")
		case slices.Contains(tracing, name):
			r.Notes = append(r.Notes, "the header "+h[0]+" is taken away: each trace begins at the gateway")
		case config.OfProxies(name) && xds.Takes(c, name):
			r.Notes = append(r.Notes, "the header "+h[0]+" is taken away: only proxies may set it that trustedHops or trustedProxies says")
		case xds.Takes(c, name):
			r.Notes = append(r.Notes, "the header "+h[0]+" is taken away: only the gateway may set it")
		default:
			kept = append(kept, h)
		}
	}
	asked.Headers = kept
	return asked, nil
}

// normalized puts the request into its normal form, or says why it has none.
func (r *Report) normalized(asked Asked) *Answer {
	normal, err := routing.Normalize(routing.Request{Host: asked.Host, Method: asked.Method, Path: asked.Path})
	if err != nil {
		return &Answer{Status: 400, Detail: err.Error()}
	}
	if asked.Method == "TRACE" || asked.Method == "CONNECT" {
		return &Answer{Status: 405, Reason: string(authz.ReasonMethodRefused), Detail: authz.ReasonMethodRefused.Meaning()}
	}
	if _, err := routing.NormalizeStrictly(normal); err != nil {
		return &Answer{Status: 400, Reason: string(authz.ReasonPathRefused), Detail: "a dot segment has parameters, which some backends cut off"}
	}
	if !routing.IsPlainHost(asked.Host) {
		return &Answer{Status: 400, Reason: string(authz.ReasonHostRefused), Detail: authz.ReasonHostRefused.Meaning()}
	}
	if before, _, _ := strings.Cut(asked.Path, "?"); !strings.HasPrefix(normal.Path+"?", before+"?") {
		r.Notes = append(r.Notes, "the path "+before+" is read as "+withoutQuery(normal.Path))
	}
	r.Request.Host, r.Request.Path = normal.Host, normal.Path
	return nil
}

// noRoute says what becomes of a request that no route takes.
func (r *Report) noRoute(table *routing.Table, asked routing.Request) {
	r.Refused = &Answer{Status: 404, Reason: "route-not-found", Detail: "no route takes the request"}
	method, _ := asked.Header("access-control-request-method")
	if origin, _ := asked.Header("origin"); asked.Method != "OPTIONS" || method == "" || origin == "" {
		return
	}
	asked.Method = method
	if taker := table.Find(asked); taker != nil && taker.CORS != nil {
		r.Refused = &Answer{Status: 200, Detail: "it is a preflight for a request that the route " + taker.Name + " takes, and is answered by the CORS policy of that"}
	}
}

// header is a header as routes are matched by it.
func (a Asked) header(name string) (value string, ok bool) {
	for _, h := range a.Headers {
		switch {
		case !strings.EqualFold(h[0], name):
		case ok:
			value += "," + h[1]
		default:
			value, ok = h[1], true
		}
	}
	return value, ok
}

func withoutQuery(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return path
}

// ParseURL reads the URL of a request into the part of Asked that it says, and
// changes nothing in it: how a path is spelt is the question. What a client
// keeps to itself, the fragment, is left out.
func ParseURL(text string) (Asked, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found || scheme != "http" && scheme != "https" {
		return Asked{}, errURL("must begin with http:// or https://")
	}
	rest, _, _ = strings.Cut(rest, "#")
	a := Asked{Scheme: scheme, Host: rest, Path: "/"}
	if i := strings.IndexAny(rest, `/?\`); i >= 0 {
		a.Host, a.Path = rest[:i], rest[i:]
	}
	if strings.HasPrefix(a.Path, "?") {
		a.Path = "/" + a.Path
	}
	if u, err := url.Parse(scheme + "://" + a.Host); err != nil || u.Host != a.Host || a.Host == "" {
		return Asked{}, errURL("must have a host, and no user")
	}
	return a, nil
}

// errURL is the rule that a URL breaks.
type errURL string

func (e errURL) Error() string { return string(e) }
