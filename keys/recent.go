package keys

// recentChanges is how many of the last changes a Cache knows by their numbers.
const recentChanges = 16384

// recent knows, of the keys changed last, the number of each one's last change,
// and of all others that they were last changed at floor or before. By it a
// Cache tells whether what somebody else has read is what it would read itself.
// Only Run touches it.
type recent struct {
	max   int
	floor int64
	last  map[string]int64
	order []noted // by number; those that were overtaken stay until they are dropped
}

type noted struct {
	seq int64
	id  string
}

func newRecent(max int) *recent { return &recent{max: max} }

// reset begins anew with the newest changes, the oldest of them first. Where
// there may be older ones, complete is false.
func (r *recent) reset(newest []change, complete bool) {
	r.floor, r.last, r.order = 0, make(map[string]int64, len(newest)), nil
	if !complete && len(newest) > 0 {
		r.floor = newest[0].seq - 1
	}
	for _, c := range newest {
		r.note(c.id, c.seq)
	}
}

// note adds a change, whose number is higher than all before.
func (r *recent) note(id string, seq int64) {
	r.last[id] = seq
	r.order = append(r.order, noted{seq, id})
	for len(r.order) > r.max {
		r.drop()
	}
}

// drop forgets the oldest change.
func (r *recent) drop() {
	oldest := r.order[0]
	r.order = r.order[1:]
	r.floor = oldest.seq
	if r.last[oldest.id] == oldest.seq {
		delete(r.last, oldest.id)
	}
}

// isCurrent reports whether what somebody has read of id is what it holds after
// all changes noted: version is the number of its last change then, and asOf
// that of a change of any key which came before the read.
//
// An id that is known must be at its version. One that is not was last changed
// at floor or before; so it must have been read after floor, with such a version.
func (r *recent) isCurrent(id string, version, asOf int64) bool {
	if last, known := r.last[id]; known {
		return version == last
	}
	return version <= r.floor && asOf >= r.floor
}
