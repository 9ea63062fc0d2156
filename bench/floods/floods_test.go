package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"
)

// TestChosen: every attack is found by its own name, and by no other.
func TestChosen(t *testing.T) {
	t.Parallel()
	all := chosen(fullSize())
	if len(all) != 22 {
		t.Errorf("there are %d attacks", len(all))
	}
	names := map[string]bool{}
	for _, a := range all {
		if names[a.Name] {
			t.Errorf("%s is there twice", a.Name)
		}
		names[a.Name] = true
	}
	if err := attack(t.Context(), options{attacker: "HTTP/1.1: nothing of the kind", rate: 1}, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
		t.Error("an attack that there is not is done")
	}
}

// TestPace: writes come no faster than they may, however many make them.
func TestPace(t *testing.T) {
	t.Parallel()
	const rate, writers, each = 200, 5, 8
	began := time.Now()
	p := &pacer{every: time.Second / rate, next: began}
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				p.wait()
			}
		})
	}
	all.Wait()
	if took, least := time.Since(began), time.Duration(writers*each-1)*time.Second/rate; took < least || p.done.Load() != writers*each {
		t.Errorf("%d writes took %s, and may in %s", p.done.Load(), took, least)
	}
}

// TestHarmless: what attacks are compared with are requests of as many bytes, all of which
// go well, and they say how many there were.
func TestHarmless(t *testing.T) {
	t.Parallel()
	enough := make(chan struct{})
	var once sync.Once
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer(w, r)
		once.Do(func() { close(enough) })
	}))
	defer backend.Close()
	input, end, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-enough; end.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var output bytes.Buffer
	o := options{attacker: "HTTP/1.1: long headers", addr: backend.Listener.Addr().String(), harmless: true, rate: 1000}
	if err := attack(ctx, o, input, &output); err != nil {
		t.Fatal(err)
	}
	var writes, failed int
	if _, err := fmt.Fscan(&output, &writes, &failed); err != nil || writes < 1 || failed > 0 {
		t.Errorf("%d writes, %d failed: %v", writes, failed, err)
	}
}
