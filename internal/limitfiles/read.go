package limitfiles

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gatewright/gatewright/config"
)

// OwnDomain is the domain of the gateway's own limits: no file may have it.
const OwnDomain = "gatewright"

// Options are how a folder is read.
type Options struct {
	// MergeDomains lets several files have one domain: what they say is put together,
	// in the order of their names. Without it that is a fault.
	MergeDomains bool
}

// Read reads all files of a folder that end in .yaml and do not begin with a dot. The
// error is config.Faults where all could be read and something in them is wrong.
// A folder without such files has no domains.
func Read(folder string, o Options) (*Table, error) {
	files, err := readAll(folder)
	if err != nil {
		return nil, err
	}
	return parse(files, o)
}

// content is a file that has been read. path stands in faults.
type content struct {
	path string
	data []byte
}

// fileNames are the files of a folder that are read, by name.
func fileNames(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("reading rate limit configuration: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".yaml") && !strings.HasPrefix(name, ".") && !e.IsDir() {
			names = append(names, name)
		}
	}
	return names, nil
}

func parse(files []content, o Options) (*Table, error) {
	b := newBuilder(o)
	for _, f := range files {
		var read file
		b.file(f.path, config.ReadDocument(f.path, f.data, &read), &read)
	}
	return b.built()
}

// Tree is what a file would say that is none: it came as a tree, and not as text. Name
// stands in faults, and the order of names is that in which domains are merged.
type Tree struct {
	Name string
	Root *yaml.Node
}

// ReadTrees is Read of trees: all of them or none, and the same rules but for one. A key
// may have a "*", which is one: programs name their descriptors as they name their routes,
// and Envoy Gateway's are so named where they are for all hosts. Who writes a "*" by hand
// wants it to stand for something.
func ReadTrees(trees []Tree, o Options) (*Table, error) {
	b := newBuilder(o)
	b.starsInKeys = true
	for _, t := range slices.SortedStableFunc(slices.Values(trees), func(a, b Tree) int { return cmp.Compare(a.Name, b.Name) }) {
		var read file
		b.file(t.Name, config.ReadTree(t.Name, t.Root, &read), &read)
	}
	return b.built()
}

// builder makes a Table of files.
type builder struct {
	options Options
	table   *Table
	domains map[string]string        // the file of each
	taken   map[*node]map[pair]place // where each entry of a level stands
	faults  config.Faults
	// starsInKeys lets keys have a "*", which is only equal to itself.
	starsInKeys bool
}

func newBuilder(o Options) *builder {
	return &builder{
		options: o,
		table:   &Table{domains: map[string]*node{}},
		domains: map[string]string{},
		taken:   map[*node]map[pair]place{},
	}
}

// built is the table, or else all that is wrong, by file.
func (b *builder) built() (*Table, error) {
	if len(b.faults) > 0 {
		slices.SortStableFunc(b.faults, func(a, b config.Fault) int { return cmp.Compare(a.File, b.File) })
		return nil, b.faults
	}
	return b.table, nil
}

// file adds what a file says, and reports what is wrong with it.
func (b *builder) file(path string, d *config.Document, f *file) {
	b.table.files++
	defer func() { b.faults = append(b.faults, d.Faults()...) }()
	root, domain := d.Root(), string(f.Domain)
	at := root.Key("domain")
	switch first, twice := b.domains[domain]; {
	case domain == "":
	case domain == OwnDomain:
		d.Refuse(at, "is the domain of the gateway's own limits: take another")
	case twice && !b.options.MergeDomains:
		d.Refuse(at, "is the domain of "+first+" too: give each domain one file, or set GATEWRIGHT_RATELIMIT_MERGE_DOMAIN_CONFIG=true")
	}
	if _, there := b.domains[domain]; !there && domain != "" {
		b.domains[domain] = path
		b.table.domains[domain] = &node{}
	}
	top := b.table.domains[domain]
	if top == nil {
		top = &node{} // for the faults below it
	}
	b.level(place{d, root.Key("descriptors"), path, domain}, top, nil, f.Descriptors)
}

// place is where in which file something stands.
type place struct {
	*config.Document
	at           config.Place
	path, domain string
}

func (p place) key(name string) place { p.at = p.at.Key(name); return p }
func (p place) index(i int) place     { p.at = p.at.Index(i); return p }
func (p place) refuse(rule string)    { p.Refuse(p.at, rule) }

// String says where it is: the file and the line or, without lines, the path.
func (p place) String() string {
	if line := p.Line(p.at); line > 0 {
		return fmt.Sprintf("%s:%d", p.path, line)
	}
	return p.path + ": " + p.at.String()
}

// must reports a rule that is broken.
func (p place) must(ok bool, rule string) {
	if !ok {
		p.refuse(rule)
	}
}

// level adds descriptors to a node. above are the levels over them.
func (b *builder) level(p place, to *node, above []level, all []*descriptor) {
	for i, d := range all {
		if d != nil {
			b.descriptor(p.index(i), to, above, d)
		}
	}
}

func (b *builder) descriptor(p place, to *node, above []level, d *descriptor) {
	key, value := string(d.Key), string(d.Value)
	p.key("key").must(b.starsInKeys || !strings.Contains(key, "*"), `a "*" stands for something in a value alone`)
	p.key("share_threshold").must(!bool(d.ShareThreshold) || strings.Contains(value, "*"),
		`is for a value with a "*" in it, which several values can match`)
	if d.RateLimit != nil && key != "" {
		d.RateLimit.check(p.key("rate_limit"))
	}
	if key == "" || !b.first(p, to, pair{key, value}) {
		return
	}
	levels := append(slices.Clip(above), level{
		key: key, value: value,
		wildcard: strings.Contains(value, "*"),
		shared:   bool(d.ShareThreshold),
		told:     bool(d.ValueToMetric),
	})
	next := to.add(key, value)
	if d.RateLimit != nil {
		next.rule = d.rule(p.domain, levels)
		p.key("rate_limit").checkCountable(next.rule)
		b.table.rules = append(b.table.rules, next.rule)
	}
	b.level(p.key("descriptors"), next, levels, d.Descriptors)
}

// first tells whether no descriptor of the level has the key and value yet, and
// reports it where one has.
func (b *builder) first(p place, in *node, e pair) bool {
	if first, twice := b.taken[in][e]; twice {
		rule := "has the key " + config.Quoted(e.key)
		if e.value == "" {
			rule += " and no value"
		} else {
			rule += " and the value " + config.Quoted(e.value)
		}
		p.refuse(rule + ", as has " + first.String())
		return false
	}
	if b.taken[in] == nil {
		b.taken[in] = map[pair]place{}
	}
	b.taken[in][e] = p
	return true
}

// add is a new level under n.
func (n *node) add(key, value string) *node {
	next := &node{}
	switch {
	case value == "":
		if n.any == nil {
			n.any = map[string]*node{}
		}
		n.any[key] = next
		return next
	case strings.Contains(value, "*"):
		if n.wild == nil {
			n.wild = map[string][]wildcard{}
		}
		n.wild[key] = append(n.wild[key], wildcard{parts: strings.Split(value, "*"), next: next})
	}
	if n.exact == nil {
		n.exact = map[pair]*node{}
	}
	n.exact[pair{key, value}] = next // a value with a "*" is itself before it is a wildcard
	return next
}

// rule is what a descriptor with a rate limit says.
func (d *descriptor) rule(domain string, levels []level) *Rule {
	l := d.RateLimit
	r := &Rule{
		Domain: domain, Name: string(l.Name), Requests: l.RequestsPerUnit.value, Unit: l.unit(),
		Unlimited: bool(l.Unlimited), ShadowMode: bool(d.ShadowMode), QuotaMode: bool(d.QuotaMode),
		Metadata: d.Metadata, levels: levels, detailed: bool(d.DetailedMetric),
	}
	for _, other := range l.Replaces {
		r.Replaces = append(r.Replaces, string(other.Name))
	}
	keys := make([]string, len(levels))
	var path strings.Builder
	for i, l := range levels {
		keys[i] = l.key
		writeStep(&path, l.key, l.value)
	}
	r.path = path.String()
	if !r.Unlimited && r.Requests > 0 && r.Unit.Length() > 0 {
		r.Limit = Limit(domain, keys, cmp.Or(Algorithm(l.Algorithm), FixedWindow), r.Unit, int64(r.Requests))
	}
	return r
}

func (l *rateLimit) unit() Unit { return Unit(strings.ToLower(string(l.Unit))) }

// check reports what is wrong with a rate limit by itself.
func (l *rateLimit) check(p place) {
	algorithm := Algorithm(l.Algorithm)
	switch {
	case !p.Sound(p.at.Key("unlimited")): // then nobody knows what must be there
	case bool(l.Unlimited):
		const rule = "must not be said of what is unlimited"
		p.key("unit").must(l.Unit == "", rule)
		p.key("algorithm").must(l.Algorithm == "", rule)
	case l.Unit == "":
		p.key("unit").refuse("is missing: say " + joined(units) + ", or unlimited: true")
	case !slices.Contains(units, l.unit()):
		p.key("unit").refuse(config.OneOfRule(string(l.Unit), words(units)))
	}
	if !bool(l.Unlimited) && !l.RequestsPerUnit.given && p.Sound(p.at.Key("unlimited")) {
		p.key("requests_per_unit").refuse("is missing: 0 admits no request")
	}
	if algorithm != "" && !slices.Contains(algorithms, algorithm) {
		p.key("algorithm").refuse(config.OneOfRule(string(algorithm), words(algorithms)))
	}
	for i, other := range l.Replaces {
		if other != nil {
			p.key("replaces").index(i).key("name").must(other.Name == "" || other.Name != l.Name, "is the name of this limit itself")
		}
	}
}

// checkCountable reports a limit that cannot be counted exactly.
func (p place) checkCountable(r *Rule) {
	if r.Limit != nil && r.Limit.TokenBucket != nil {
		rule := r.Limit.TokenBucket.Rule()
		p.key("requests_per_unit").must(rule == "", rule)
	}
}

func words[S ~string](values []S) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

func joined[S ~string](values []S) string {
	all := words(values)
	return strings.Join(all[:len(all)-1], ", ") + " or " + all[len(all)-1]
}

// IsFaults tells whether err says what is wrong in files, rather than why they could not be read.
func IsFaults(err error) bool {
	var faults config.Faults
	return errors.As(err, &faults)
}
