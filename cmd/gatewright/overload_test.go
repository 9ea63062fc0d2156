package main

import (
	"errors"
	"testing"
)

func TestMaxHeap(t *testing.T) {
	limited := func() (uint64, error) { return 1 << 30, nil }
	for _, c := range []struct {
		setting string
		limit   func() (uint64, error)
		want    uint64
		bad     bool
	}{
		{"none", limited, 0, false},
		{"auto", limited, 644245094, false},
		{"auto", func() (uint64, error) { return 16 << 20, nil }, leastHeap, false},
		{"auto", func() (uint64, error) { return 0, errors.New("no limit") }, 0, false},
		{"512MiB", limited, 512 << 20, false}, {"1GiB", limited, 1 << 30, false}, {"40000000", limited, 40_000_000, false},
		{"", limited, 0, true}, {"much", limited, 0, true}, {"-1", limited, 0, true}, {"31MiB", limited, 0, true}, {"0", limited, 0, true},
	} {
		got, err := maxHeap(c.setting, c.limit)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%q: %d, %v", c.setting, got, err)
		}
	}
}
