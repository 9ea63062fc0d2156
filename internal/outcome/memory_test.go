package outcome

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// everybody knows all names.
type everybody struct{}

func (everybody) HasRoute(string) bool   { return true }
func (everybody) HasBackend(string) bool { return true }

// TestSeriesAreBounded: what is kept of a route with one backend stays below a bound,
// however its times are spread: here from 0.1 ms to 10 s, more than a service's are.
func TestSeriesAreBounded(t *testing.T) {
	const routes, most = 200, 16 << 10
	m := NewMetrics(prometheus.NewRegistry(), everybody{})
	random := rand.New(rand.NewPCG(1, 2))
	before := heapNow()
	for i := range routes {
		for range 2000 {
			m.Observe(Outcome{
				Route: fmt.Sprint("route", i), Backend: "app", Upstream: true, Status: 200,
				Duration: time.Duration(math.Pow(10, 5*random.Float64()) * float64(100*time.Microsecond)),
			})
		}
	}
	got := (int64(heapNow()) - int64(before)) / routes
	runtime.KeepAlive(m)
	t.Logf("%d bytes a route", got)
	if got > most {
		t.Errorf("a route has %d bytes of series, want at most %d", got, most)
	}
}

func heapNow() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

// BenchmarkObserve is what an outcome costs the metrics.
func BenchmarkObserve(b *testing.B) {
	m := NewMetrics(prometheus.NewRegistry(), everybody{})
	o := Outcome{Route: "users", Backend: "app", Upstream: true, Status: 200, Duration: 3 * time.Millisecond}
	for b.Loop() {
		o.Duration += time.Microsecond
		m.Observe(o)
	}
}
