package ratelimit

import (
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// Instances know how many Envoys there are: those that have just come here at once,
// those of others within seconds, and those of an instance that goes no more.
func TestInstancesKnowHowManyEnvoysThereAre(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	f := newFleet(t, server, 3)
	for here, l := range f.instances {
		if n := l.Envoys(here); n < here {
			t.Errorf("%d Envoys, want those of this instance at least, %d", n, here)
		}
	}
	f.haveEnvoys(3, []int{0, 1, 2})
	f.haveEnvoys(11, []int{8, 1, 2})
	server.Do("SET", liveEnvoysKey, "junk")
	f.haveEnvoys(12, []int{8, 2, 2})
	_ = f.instances[2].Close()
	f.instances = f.instances[:2]
	f.haveEnvoys(9, []int{8, 1})
	server.Kill()
	if n := f.instances[0].Envoys(7); n != 8 {
		t.Errorf("%d Envoys without Redis, want 7 and the last that was heard of the others", n)
	}
}

// haveEnvoys gives each instance Envoys, and waits until each knows how many there are.
func (f *fleet) haveEnvoys(all int, here []int) {
	f.t.Helper()
	for i, l := range f.instances {
		waitFor(f.t, "the instances to know of each other's Envoys", func() bool {
			for j, l := range f.instances {
				l.Envoys(here[j])
			}
			return l.Envoys(here[i]) == all
		})
	}
}

// Without Redis an instance has all Envoys that there are.
func TestEnvoysWithoutRedis(t *testing.T) {
	l := open(t, Settings{}, nil)
	if n := l.Envoys(3); n != 3 {
		t.Errorf("%d Envoys, want 3", n)
	}
}
