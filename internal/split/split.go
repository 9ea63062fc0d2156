// Package split says which side of a split a caller is kept on. It is the one
// arithmetic that Envoy's split, Check and explain share: pure, without a
// memory, and so the same on every Envoy and every instance.
//
// Every caller has a point on a line, by the hash of what it is kept by, and
// each side has a part of the line, as long as its weight. So a caller stays
// where it is while weights stand. When weights move, the ends of the parts do,
// and only who is between an old end and a new one changes sides. The first side
// lies in the middle and the others grow into it from both ends of the line:
// what one of them wins it takes from the first, and from nobody else.
//
// Of more than three sides, those that do not touch an end of the line lie on
// others, and move with them. No arithmetic without a memory can spare them: of
// three sides with half of the line each in turn, some caller of one of the two
// must move though its side has kept its half.
package split

import (
	"github.com/cespare/xxhash/v2"

	"github.com/gatewright/gatewright/config"
)

// Points is how many points the line has: a side's part is its share in
// millionths.
const Points = 1_000_000

// Side is a backend, and how many points are its own.
type Side struct {
	Backend string
	Width   uint32
}

// Line is all sides in the order in which they lie on the line. Their widths are
// Points together.
type Line []Side

// Of is the line of a route's destinations, of which one at least has a weight
// above 0. A share below half a point has none.
func Of(to []*config.Destination) Line {
	lying, total := layout(to), int64(0)
	for _, d := range lying {
		total += weight(d)
	}
	line := make(Line, len(lying))
	before, begin := int64(0), uint32(0)
	for i, d := range lying {
		before += weight(d)
		end := uint32((2*before*Points + total) / (2 * total)) // to the nearest point
		line[i] = Side{d.Backend, end - begin}
		begin = end
	}
	return line
}

// layout are destinations as they lie on the line: the first between the third,
// the fifth and so on below it and the second, the fourth and so on above.
func layout(to []*config.Destination) []*config.Destination {
	out := make([]*config.Destination, 0, len(to))
	for i := 2; i < len(to); i += 2 {
		out = append(out, to[i])
	}
	out = append(out, to[0])
	for i := len(to) - 1 - len(to)%2; i > 0; i -= 2 {
		out = append(out, to[i])
	}
	return out
}

// weight is that of a destination; a single one may leave it out.
func weight(d *config.Destination) int64 {
	if d.Weight == nil {
		return 1
	}
	return int64(*d.Weight)
}

// Point is where a caller is on the line, by what it is kept by: one value, or the
// sorted ones of a header that is there more than once. The hash is the one by which
// Envoy keeps requests together (xxHash64; of several values each is hashed with the
// hash of those before it as seed).
func Point(values ...string) uint32 {
	hash := uint64(0)
	for i, value := range values {
		if i == 0 {
			hash = xxhash.Sum64String(value)
			continue
		}
		d := xxhash.NewWithSeed(hash)
		_, _ = d.WriteString(value) // it never fails
		hash = d.Sum64()
	}
	return uint32(hash % Points)
}

// At is the backend whose part a point is in.
func (l Line) At(point uint32) string {
	for _, side := range l {
		if point < side.Width {
			return side.Backend
		}
		point -= side.Width
	}
	return "" // no line is shorter than its points
}
