package keys

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const (
	// timingSamples are taken of each class in a round, timingKeys different keys
	// stand for a class, so that where one of them lies in memory is no class.
	timingSamples, timingKeys = 20_000, 64
	// timingRounds is how many rounds, each with keys of its own, must all show the
	// same for it to be believed.
	timingRounds = 5
	// telling is the |t| that a round tells something with. Where there is nothing,
	// one round passes it in 7 of a million; five in a row, all in one direction,
	// in 1 of 10^27. What the machine does meanwhile meets both classes alike, as
	// they are measured in random order.
	telling = 4.5
)

// TestTimeTellsNothingOfKeys: how long a refusal takes does not depend on how
// near a text is to a key: in its secret, nor in its id.
func TestTimeTellsNothingOfKeys(t *testing.T) {
	r := newRig(t, newSQLite(t), Settings{})
	type pair struct{ near, far string }
	for name, pairOf := range map[string]func(key string) pair{
		"a secret that is right but for its end, and one that is made up": func(key string) pair {
			return pair{withSecretEnd(key), otherSecret(t, key)}
		},
		"an id that is right but for its end, and one that is made up": func(key string) pair {
			return pair{withIDEnd(key), unknownKey(t)}
		},
	} {
		steadily(t, name, func() float64 {
			var near, far []string
			for range timingKeys {
				_, key := create(t, r.other)
				r.want(t, key, Valid)
				p := pairOf(key)
				near, far = append(near, p.near), append(far, p.far)
			}
			return welch(sample(r.refuses(t), near, far))
		})
	}
}

// TestTimeDoesNotTellIDs: a made-up secret is refused as slowly under an id that
// is no key's, as under one that is: what there is of a difference is far less
// than a hash.
func TestTimeDoesNotTellIDs(t *testing.T) {
	r := newRig(t, newSQLite(t), Settings{})
	hashing := func(string) { r.source.ring().secrets[0].sum("", digest{}) }
	worst := math.Inf(1)
	for range timingRounds {
		var known, unknown []string
		for range timingKeys {
			_, key := create(t, r.other)
			r.want(t, key, Valid)
			known, unknown = append(known, otherSecret(t, key)), append(unknown, unknownKey(t))
		}
		a, b := sample(r.refuses(t), known, unknown)
		h, _ := sample(hashing, known, unknown)
		difference := math.Abs(median(a)-median(b)) / median(h)
		if worst = min(worst, difference); worst < 0.5 {
			t.Logf("known %.0f ns, unknown %.0f ns, a hash %.0f ns", median(a), median(b), median(h))
			return
		}
	}
	t.Errorf("the two differ by %.2f of the time of a hash, in each of %d rounds", worst, timingRounds)
}

// TestTimingIsSeen: the measurement tells a comparison that stops at the first
// difference.
func TestTimingIsSeen(t *testing.T) {
	key := unknownKey(t)
	var found bool
	stops := func(text string) {
		found = len(text) == len(key)
		for i := 0; found && i < len(key); i++ {
			found = text[i] == key[i]
		}
	}
	for range timingRounds {
		var near, far []string
		for range timingKeys {
			near, far = append(near, withSecretEnd(key)), append(far, unknownKey(t))
		}
		if score := welch(sample(stops, near, far)); math.Abs(score) > telling {
			return
		}
	}
	t.Errorf("it is not seen (%t)", found)
}

// steadily fails where each round tells, and all the same.
func steadily(t *testing.T, what string, round func() float64) {
	t.Helper()
	var scores []string
	direction := 0.0
	for range timingRounds {
		score := round()
		scores = append(scores, fmt.Sprintf("%.1f", score))
		if math.Abs(score) < telling || score*direction < 0 {
			return
		}
		direction = score
	}
	t.Errorf("time tells %s apart: t = %v", what, scores)
}

// refuses judges a text that is no key's, from memory.
func (r *rig) refuses(t *testing.T) func(text string) {
	return func(text string) {
		if found, err := r.Find(context.Background(), text); err != nil || found.State != Unknown {
			t.Fatalf("%v, %v", found.State, err)
		}
	}
}

// sample measures f with texts of two classes, in random order.
func sample(f func(text string), first, second []string) (a, b []float64) {
	classes, samples := [2][]string{first, second}, [2][]float64{}
	for _, class := range classes {
		for _, text := range class {
			f(text) // it is remembered from now on
		}
	}
	for len(samples[0]) < timingSamples || len(samples[1]) < timingSamples {
		class := rand.IntN(2)
		text := classes[class][rand.IntN(len(classes[class]))]
		began := time.Now()
		f(text)
		samples[class] = append(samples[class], float64(time.Since(began)))
	}
	return samples[0], samples[1]
}

// welch is the t of Welch's test, of what remains when the slowest tenth of all
// is left out: those that the machine has interrupted.
func welch(a, b []float64) float64 {
	all := slices.Concat(a, b)
	slices.Sort(all)
	most := all[len(all)*9/10]
	meanA, errA := meanOf(a, most)
	meanB, errB := meanOf(b, most)
	return (meanA - meanB) / math.Sqrt(errA+errB+1e-9)
}

// meanOf is the mean of the samples up to most, and its squared error.
func meanOf(samples []float64, most float64) (mean, squaredError float64) {
	n, squares := 0.0, 0.0
	for _, x := range samples {
		if x > most {
			continue
		}
		n++
		delta := x - mean
		mean += delta / n
		squares += delta * (x - mean)
	}
	return mean, squares / (n - 1) / n
}

func median(samples []float64) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[len(sorted)/2]
}

// withSecretEnd is a key with another last character of the secret.
func withSecretEnd(key string) string {
	body := key[:checksumStart-1] + otherCharacter(key[checksumStart-1])
	return body + checksum(body)
}

// withIDEnd is a key with another last character of the id.
func withIDEnd(key string) string {
	last := len(prefix) + idChars - 1
	body := key[:last] + otherCharacter(key[last]) + key[last+1:checksumStart]
	return body + checksum(body)
}

func otherCharacter(c byte) string {
	if c == 'a' {
		return "b"
	}
	return "a"
}
