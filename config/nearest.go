package config

import "strings"

// The bounds of a search for the nearest name, so that a file of nothing but
// wrong names costs no time.
const (
	maxNameCompared   = 64
	maxNamesSearched  = 1000
	maxNamesListed    = 40
	nameDistanceParts = 3 // one mistake for each so many letters is still meant
)

// nearest is the known name that was most likely meant, or "" where none is
// near. Case does not count as a mistake.
func nearest(name string, known []string) string {
	if len(name) > maxNameCompared || len(known) > maxNamesSearched {
		return ""
	}
	folded := strings.ToLower(name)
	best, least := "", max(1, len(name)/nameDistanceParts)+1
	for _, k := range known {
		if len(k) > maxNameCompared {
			continue
		}
		if d := distance(folded, strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// suggestion says which known name was meant, or which there are where they
// are few, or nothing. It begins with the separator.
func suggestion(separator, name string, known []string) string {
	if meant := nearest(name, known); meant != "" {
		return separator + "did you mean " + quoted(meant) + "?"
	}
	if len(known) == 0 || len(known) > maxNamesListed {
		return ""
	}
	return separator + "known: " + strings.Join(shownAll(known), ", ")
}

func shownAll(names []string) []string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = shown(n)
	}
	return all
}

// distance is how many letters must be changed, added, dropped or swapped with
// their neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	before, above := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}
