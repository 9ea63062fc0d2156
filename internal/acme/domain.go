package acme

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/pki"
)

// domain is a name that is to have a certificate, and what it has. The manager's
// mutex guards it.
type domain struct {
	key, name string
	settings  *config.ACME
	// pair is what is served. standsIn: it is a stand-in.
	pair     *pki.Pair
	standsIn bool
	// read is the state of the file that pair was read from.
	read state
	// challenge is what a challenge by TLS is answered with; nil where there is none.
	challenge *pki.Pair
	// challengeStandIn is served in its place meanwhile.
	challengeStandIn *pki.Pair

	busy     bool
	failures int
	fault    error
	// again is the earliest time of another try after a failure.
	again time.Time
}

// key names what is kept of a domain: of two authorities, as one to try with and
// one for good, it has two certificates.
func key(settings *config.ACME, name string) string {
	return name + "@" + authorityOf(settings)
}

// authorityOf names an authority in a file's name.
func authorityOf(settings *config.ACME) string {
	sum := sha256.Sum256([]byte(settings.DirectoryURL()))
	return hex.EncodeToString(sum[:6])
}

// file is the name of the file of its certificate.
func (d *domain) file() string { return d.key + ".pem" }

// due tells whether it is time to obtain a certificate.
func (d *domain) due(now time.Time) bool {
	if d.busy || now.Before(d.again) {
		return false
	}
	return d.standsIn || !now.Before(renewAt(d.pair.Leaf, time.Duration(d.settings.RenewBefore)))
}

// failed remembers a failure, and until when it is left alone.
func (d *domain) failed(err error, now time.Time, answered bool) {
	d.failures++
	d.again = now.Add(pauseAfter(d.failures, answered))
	d.fault = err
}

// take has a pair served that was obtained.
func (d *domain) take(p *pki.Pair, read state) {
	d.pair, d.read, d.standsIn = p, read, false
	d.failures, d.fault, d.again = 0, nil, time.Time{}
}

// problem is what is told of it: why it has no certificate, or not the next one.
func (d *domain) problem() error {
	if d.fault == nil {
		return nil
	}
	return fmt.Errorf("%w (failures in a row: %d; next try at %s)", d.fault, d.failures, d.again.UTC().Format(time.RFC3339))
}

// challengePair is what is served to who asks by acme-tls/1.
func (d *domain) challengePair() *pki.Pair { return cmp.Or(d.challenge, d.challengeStandIn) }

// served says in words what it is served with.
func (d *domain) served(now time.Time) string {
	switch {
	case d.standsIn:
		return "a stand-in that no client takes"
	case now.After(d.pair.Leaf.NotAfter):
		return "the last one, which has expired"
	}
	return "the last one, until " + d.pair.Leaf.NotAfter.UTC().Format(time.RFC3339)
}
