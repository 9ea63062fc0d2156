package diff

import (
	"fmt"
	"io"
	"strings"
)

// most is how many requests and how many fields are written, unless all are.
const most = 25

var headings = map[Protection]string{
	Less:   "LESS PROTECTED than before:",
	Opened: "newly reachable:",
	Other:  "judged in another way:",
	Closed: "no longer reachable:",
}

// Write writes the report for people: of much, the beginning, unless all is
// wanted.
func (r Report) Write(w io.Writer, all bool) error {
	var b strings.Builder
	last := Protection("")
	for i, q := range r.Requests {
		if i == most && !all {
			fmt.Fprintf(&b, "  and %d more kinds of requests (--all)\n", len(r.Requests)-most)
			break
		}
		if q.Protection != last {
			fmt.Fprintln(&b, headings[q.Protection])
			last = q.Protection
		}
		fmt.Fprintf(&b, "  %s\n", &q)
	}
	if r.Bounded {
		b.WriteString("  (so much differs that not all kinds of requests were tried)\n")
	}
	writeMoved(&b, r.Moved, all)
	if len(r.Fields) > 0 {
		b.WriteString("in the config:\n")
	}
	for i, f := range r.Fields {
		if i == most && !all {
			fmt.Fprintf(&b, "  and %d more (--all)\n", len(r.Fields)-most)
			break
		}
		fmt.Fprintf(&b, "  %s: %s\n", f.Path, f.Change)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the differences: %w", err)
	}
	return nil
}
