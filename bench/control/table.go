package main

import (
	"fmt"
	"io"
	"strings"
)

// row is one line of the report.
type row struct {
	what string
	size string
	// n is how many times were measured; times are those.
	n     int
	times samples
	// measured is what is judged, where that is not a time, or what else is to
	// be known.
	measured string
	// goal is empty where there is none. met is whether it is reached.
	goal string
	met  bool
	// failed is how many requests failed while it was measured.
	failed int
}

// table is the report.
type table struct {
	machine machine
	rows    []row
}

// write prints the report in Markdown.
func (t *table) write(w io.Writer) error {
	var b strings.Builder
	b.WriteString(t.machine.String())
	b.WriteString("\n\n| what | size | n | p50 | p99 | max | beside | goal | met |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range t.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r.cells(), " | "))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func (r row) cells() []string {
	p50, p99, longest := "–", "–", "–"
	if len(r.times) > 0 {
		p50, p99, longest = short(r.times.median()), short(r.times.p99()), short(r.times.max())
	}
	goal, met := "–", "–"
	if r.goal != "" {
		goal, met = r.goal, "**no**"
		if r.met {
			met = "yes"
		}
	}
	return []string{r.what, r.size, thousands(r.n), p50, p99, longest, r.measured, goal, met}
}
