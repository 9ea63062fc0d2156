package breakerpolicy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// What README.md says that a breaker takes in Redis: bytes, and of its one thread.
func TestRedisCost(t *testing.T) {
	server := testenv.StartRedis(t)
	s := stageInRedis(t, server.Client, "b")
	size := func() int64 { return server.Do("STRLEN", redisKey("b")).(int64) }
	s.say("A", report{})
	empty := size()
	for range slotsPerWindow {
		s.ends("A", 900, 100)
		s.clock += s.rules.Slot
	}
	full := size()
	t.Logf("%d bytes empty, %d with %d slots in use", empty, full, slotsPerWindow)
	if empty > 150 || full > 150+15*slotsPerWindow {
		t.Errorf("%d bytes empty and %d with all slots, want no more than 150, and 15 for each slot", empty, full)
	}
	server.Do("CONFIG", "RESETSTAT")
	for range 500 {
		s.ends("A", 9, 1)
	}
	stats := fmt.Sprint(server.Do("INFO", "commandstats"))
	_, evals, _ := strings.Cut(stats, "cmdstat_evalsha:")
	evals, _, _ = strings.Cut(evals, "\r\n")
	t.Logf("a report on a breaker with all slots in use: %s", evals)
}
