package acme

import (
	"crypto/x509"
	"time"
)

// renewAt is when a certificate is to be renewed: when a third of its life is left,
// or as long before its end as is said, but never in the first third of its life,
// which would be again and again.
func renewAt(leaf *x509.Certificate, before time.Duration) time.Time {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	if before == 0 {
		before = life / 3
	}
	return leaf.NotAfter.Add(-min(before, life*2/3))
}

// The pauses after failures in a row. Those of an authority that has answered are
// such that its own limits hold: at Let's Encrypt, five names that were not proved in
// an hour (https://letsencrypt.org/docs/rate-limits/). One that is not reached counts nothing.
var (
	afterAnswers = []time.Duration{time.Minute, 5 * time.Minute, 20 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour}
	afterSilence = []time.Duration{5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute}
)

// pauseAfter is how long to wait after so many failures in a row, from 1 on.
func pauseAfter(failures int, answered bool) time.Duration {
	pauses := afterSilence
	if answered {
		pauses = afterAnswers
	}
	return pauses[min(failures, len(pauses))-1]
}
