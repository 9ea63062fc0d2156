package store

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/gatewright/gatewright/config"
)

func TestEncodedIsDecoded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOf(rapid.Byte()).Draw(t, "data")
		if rapid.Bool().Draw(t, "magic") {
			data = append([]byte{0x1f, 0x8b}, data...)
		}
		data = bytes.Repeat(data, rapid.IntRange(1, 5000).Draw(t, "times"))
		back, err := decoded(encoded(data))
		must(t, err)
		if !bytes.Equal(back, data) {
			t.Fatalf("%d bytes are not what they were", len(data))
		}
	})
}

// TestSmallIsPlain: people read it with etcdctl and consul.
func TestSmallIsPlain(t *testing.T) {
	t.Parallel()
	for size, plain := range map[int]bool{0: true, plainSize: true, plainSize + 1: false} {
		data := bytes.Repeat([]byte("x"), size)
		want(t, "plain", bytes.Equal(encoded(data), data), plain)
	}
}

// TestBombs: other hands may put anything there.
func TestBombs(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range config.MaxSize>>20 + 1 {
		_, err := w.Write(zeros)
		must(t, err)
	}
	must(t, w.Close())
	onEach(t, func(t *testing.T, p place) {
		if p.stateDir != "" {
			t.Skip("a file is never compressed")
		}
		s := p.open(t)
		p.put("one")
		watched := watch(t, s, nil)
		watched.until("one")
		p.put(bomb.String())
		watched.untilFailure("too large")
		_, err := s.Read(background)
		wantError(t, err, ErrTooLarge)
		p.put("two")
		watched.until("two")
		p.put(bomb.String()[:100])
		watched.untilFailure("decompressing")
		p.put("three")
		watched.until("three")
	})
}

func TestMaxSize(t *testing.T) {
	t.Parallel()
	wantError(t, checkedContent(make([]byte, config.MaxSize+1)), ErrTooLarge)
	must(t, checkedContent([]byte(strings.Repeat("x", 100))))
}
