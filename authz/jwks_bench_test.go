package authz

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"github.com/gatewright/gatewright/config"
	"github.com/prometheus/client_golang/prometheus"
)

// urlJWT is a provider whose keys are at the issuer's URL.
func urlJWT(name string) *config.JWT {
	p := mainJWT()
	p.Name, p.JWKS = name, config.JWKS{URL: issuerURL}
	return p
}

// jwksBench is a KeySets that is connected to one scripted issuer.
type jwksBench struct {
	*KeySets
	issuer   *issuer
	registry *prometheus.Registry
	log      *lockedBuffer
}

func newJWKSBench(t *testing.T, answer http.HandlerFunc) *jwksBench {
	b := &jwksBench{issuer: newIssuer(t, answer), registry: prometheus.NewRegistry(), log: &lockedBuffer{}}
	b.KeySets = NewKeySets(KeySetsOptions{
		Log:        slog.New(slog.NewTextHandler(b.log, nil)),
		Registerer: b.registry,
		Transport:  b.issuer.transport(t),
	})
	t.Cleanup(b.Close)
	return b
}

// find looks up a kid as a token with it would.
func (b *jwksBench) find(t testing.TB, p *config.JWT, kid string) Reason {
	t.Helper()
	_, refused := b.lookup(t.Context(), p, token{alg: "ES256", kid: kid, hasKID: true})
	if refused != nil {
		return refused.reason
	}
	return ReasonAllowed
}

func (b *jwksBench) wantMetric(t *testing.T, name, want string) {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := f.GetName()
			for _, l := range m.GetLabel() {
				labels += " " + l.GetValue()
			}
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue()
			if got := fmt.Sprint(value); labels == name {
				if got != want {
					t.Errorf("%s is %s, want %s", name, got, want)
				}
				return
			}
		}
	}
	if want != "" {
		t.Errorf("no metric %s", name)
	}
}

type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// set is a key set of one EC key under each kid.
func set(kids ...string) string {
	var keys []map[string]any
	for _, kid := range kids {
		keys = append(keys, with(ecSigner().jwk(), map[string]any{"kid": kid}))
	}
	return jwksOf(keys...)
}
