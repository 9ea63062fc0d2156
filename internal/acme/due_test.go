package acme

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/pki"
)

// TestRenewAt: a third before the end, or as is said, and never in the first third.
func TestRenewAt(t *testing.T) {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct{ life, before, want time.Duration }{
		{90 * 24 * time.Hour, 0, 60 * 24 * time.Hour},
		{6 * 24 * time.Hour, 0, 4 * 24 * time.Hour},
		{90 * 24 * time.Hour, 10 * 24 * time.Hour, 80 * 24 * time.Hour},
		{6 * 24 * time.Hour, 30 * 24 * time.Hour, 2 * 24 * time.Hour}, // its authority has made lives shorter
	} {
		leaf := &x509.Certificate{NotBefore: from, NotAfter: from.Add(c.life)}
		if got := renewAt(leaf, c.before); !got.Equal(from.Add(c.want)) {
			t.Errorf("%v of %v: after %v, want %v", c.before, c.life, got.Sub(from), c.want)
		}
	}
}

// TestPauses: they grow, end somewhere, and keep Let's Encrypt's five failures in an
// hour.
func TestPauses(t *testing.T) {
	for _, answered := range []bool{true, false} {
		last, passed, tries := time.Duration(0), time.Duration(0), 1
		for failures := 1; failures < 20; failures++ {
			p := pauseAfter(failures, answered)
			if p < last || p > 6*time.Hour {
				t.Errorf("after %d failures %v, and before that %v", failures, p, last)
			}
			if passed += p; passed < time.Hour {
				tries++
			}
			last = p
		}
		if answered && tries > 5 {
			t.Errorf("%d tries in an hour", tries)
		}
	}
}

// TestDue: what there is none of is due at once, what there is when its time has
// come, and after a failure not before its pause is over.
func TestDue(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	leaf := &x509.Certificate{NotBefore: now, NotAfter: now.Add(90 * time.Minute)}
	d := &domain{settings: &config.ACME{}, pair: &pki.Pair{Leaf: leaf}, standsIn: true}
	check := func(what string, at time.Time, want bool) {
		t.Helper()
		if d.due(at) != want {
			t.Errorf("%s: due is %t", what, !want)
		}
	}
	check("a stand-in", now, true)
	d.failed(x509.ErrUnsupportedAlgorithm, now, true)
	check("after a failure", now.Add(time.Minute-1), false)
	check("after its pause", now.Add(time.Minute), true)
	d.failed(x509.ErrUnsupportedAlgorithm, now, true)
	check("after two", now.Add(5*time.Minute-1), false)
	d.take(&pki.Pair{Leaf: leaf}, state{})
	if d.problem() != nil {
		t.Error("a fault outlives success")
	}
	check("a new one", now, false)
	check("with a third left", now.Add(time.Hour), true)
	d.busy = true
	check("one that is under way", now.Add(time.Hour), false)
}
