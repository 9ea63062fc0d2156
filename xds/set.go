package xds

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// set is a set of resources while it is built.
type set struct {
	previous, next Resources
	errs           []error
}

// built is a new resource, or why there is none.
type built struct {
	Resource
	err error
}

// newResource judges a message by the rules of its proto file, and names its
// version.
func newResource(t resource.Type, name string, m validatable, source any, refers ...id) built {
	var encoding []byte
	var err error
	inParallel(2, func(i int) {
		if i == 0 {
			encoding = encoded(m)
		} else {
			err = m.ValidateAll()
		}
	})
	if err != nil {
		return built{err: fmt.Errorf("building %s %q: %w", shortType(t), name, err)}
	}
	out := Resource{Name: name, Version: cachev3.HashResource(encoding), Message: m, source: source, refers: refers}
	if t == resource.RouteType {
		out.packed = packedRoutes(name, encoding)
	}
	return built{Resource: out}
}

func (s *set) put(t resource.Type, b built) {
	if b.err != nil {
		s.errs = append(s.errs, b.err)
		return
	}
	if s.next[t] == nil {
		s.next[t] = map[string]Resource{}
	}
	s.next[t][b.Name] = b.Resource
}

// take takes a resource over that was built before from the same source.
func (s *set) take(t resource.Type, name string, same func(source any) bool) bool {
	before, ok := s.previous[t][name]
	if !ok || !same(before.source) {
		return false
	}
	s.put(t, built{Resource: before})
	return true
}

// inParallel calls do for each number below n, on all cores.
func inParallel(n int, do func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}
