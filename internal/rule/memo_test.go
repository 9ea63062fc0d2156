package rule

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// TestEqualRulesAreOne, by their text and by whom they are about.
func TestEqualRulesAreOne(t *testing.T) {
	t.Parallel()
	const text = `request.method == "GET"`
	compileOf := func(text string, about Subject) *Rule {
		r, err := Compile(text, about)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first := compileOf(text, Token)
	if compileOf(text, Token) != first {
		t.Error("the same rule was compiled twice")
	}
	if compileOf(text, Key) == first {
		t.Error("a rule about a key is one about a token")
	}
	if compileOf(text+" ", Token) == first {
		t.Error("two texts are one rule")
	}
	if _, err := Compile("nonsense", Token); err == nil {
		t.Error("nonsense was compiled")
	}
	runtime.KeepAlive(first)
}

// TestRulesAreForgotten with the last who has them, however many ask at once.
func TestRulesAreForgotten(t *testing.T) {
	t.Parallel()
	m := newMemo()
	calls := 0
	var mu sync.Mutex
	made := func(s source) (*Rule, error) {
		mu.Lock()
		defer mu.Unlock()
		calls++
		return &Rule{}, nil
	}
	use := func() {
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				if r, err := m.of(source{text: fmt.Sprint(i % 10)}, made); r == nil || err != nil {
					t.Error(r, err)
				}
			})
		}
		all.Wait()
	}
	use()
	kept, _ := m.of(source{text: "kept"}, made)
	testenv.Eventually(t, "the others are forgotten", func() error {
		runtime.GC()
		if n := m.len(); n != 1 {
			return fmt.Errorf("%d are remembered", n)
		}
		return nil
	})
	before := calls
	if again, _ := m.of(source{text: "kept"}, made); again != kept || calls != before {
		t.Error("one that is in use was made again")
	}
}
