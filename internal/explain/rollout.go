package explain

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gatewright/gatewright/config"
)

// movedShares are those of the backends of a route whose weights move by themselves.
// Where they are, a running gateway knows.
func movedShares(r *config.Route) map[string]string {
	sum, others, out := 0, 0, map[string]string{}
	for _, to := range r.To {
		if to.Backend != r.Rollout.Backend {
			sum, others = sum+weight(to), others+1
		}
	}
	for _, to := range r.To {
		switch {
		case to.Backend == r.Rollout.Backend:
			out[to.Backend] = "what its rollout gives it"
		case others == 1:
			out[to.Backend] = "the rest"
		default:
			out[to.Backend] = fmt.Sprintf("%d of %d of the rest", weight(to), sum)
		}
	}
	return out
}

// weight is that of a side; the only one of a route may say none.
func weight(to *config.Destination) int {
	if to.Weight == nil {
		return 1
	}
	return *to.Weight
}

// moves says how the weights of a route move by themselves, or "".
func moves(r *config.Route) string {
	if r.Rollout == nil {
		return ""
	}
	var steps []string
	for _, s := range r.Rollout.Steps {
		steps = append(steps, strconv.Itoa(s))
	}
	return fmt.Sprintf("%s gets %s %%, each for %s, while it stands; gatewright rollout list tells where a running gateway is",
		r.Rollout.Backend, strings.Join(steps, ", "), r.Rollout.Every)
}
