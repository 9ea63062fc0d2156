package door

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestRefusalsDoNotFloodTheLog: all are counted, and one a minute is told for
// each peer and reason, with the number of those that were not.
func TestRefusalsDoNotFloodTheLog(t *testing.T) {
	var log bytes.Buffer
	r := newRefusals(slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	now := time.Unix(0, 0)
	r.now = func() time.Time { return now }
	refuse := func(n int, reason, from string) {
		t.Helper()
		for i := range n {
			r.add(refusal{reason, "because"}, &net.TCPAddr{IP: net.ParseIP(from), Port: i})
		}
	}
	told := func(want int) {
		t.Helper()
		if n := strings.Count(log.String(), "\n"); n != want {
			t.Errorf("%d lines, want %d:\n%s", n, want, &log)
		}
		log.Reset()
	}
	refuse(100, handshakeFailed, "192.0.2.1")
	told(1)
	refuse(100, nodeForeign, "192.0.2.1")
	told(1)
	refuse(100, handshakeFailed, "192.0.2.2")
	told(1)
	now = now.Add(quietFor - 1)
	refuse(1, handshakeFailed, "192.0.2.1")
	told(0)
	now = now.Add(1)
	refuse(1, handshakeFailed, "192.0.2.1")
	if want := "not_told_before=100"; !strings.Contains(log.String(), want) {
		t.Errorf("no %q in %s", want, &log)
	}
	told(1)
	if n := testutil.ToFloat64(r.total.WithLabelValues(handshakeFailed)); n != 202 {
		t.Errorf("%v were counted, want 202", n)
	}
}

// TestRefusalsOfManyPeers: what is remembered of them is bounded, and room is
// made by time.
func TestRefusalsOfManyPeers(t *testing.T) {
	var log bytes.Buffer
	r := newRefusals(slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	now := time.Unix(0, 0)
	r.now = func() time.Time { return now }
	flood := func() {
		log.Reset()
		for i := range 3 * maxTold {
			addr, err := net.ResolveTCPAddr("tcp", fmt.Sprintf("[2001:db8::%x]:1", i))
			if err != nil {
				t.Fatal(err)
			}
			r.add(refusal{handshakeFailed, "because"}, addr)
		}
		if n := strings.Count(log.String(), "\n"); n != maxTold || len(r.told) != maxTold {
			t.Errorf("%d were told, %d are remembered, want %d", n, len(r.told), maxTold)
		}
	}
	flood()
	now = now.Add(quietFor)
	flood()
}
