package breakerpolicy

// slotsPerWindow is into how many slots a window is divided: what has ended is
// counted for the window, and for at most a slot longer.
const slotsPerWindow = 20

// slot counts the requests that have ended between At and the slot's length later.
type slot struct {
	// At is when it begins, in milliseconds.
	At int64 `json:"at"`
	// Total are all that count, and Failed those of them that are failures.
	Total  int64 `json:"n"`
	Failed int64 `json:"f"`
}

// tally is how many of how many have failed.
type tally struct {
	Total  int64 `json:"n"`
	Failed int64 `json:"f"`
}

// and is the sum of two.
func (t tally) and(other tally) tally {
	return tally{t.Total + other.Total, t.Failed + other.Failed}
}

// window is slots in their order, of which none is empty. Slots of several lengths
// may be in it, after a change of the definition.
type window []slot

// add counts what has ended at a time, in a slot of a length.
func (w window) add(at, length int64, t tally) window {
	if t.Total <= 0 {
		return w
	}
	at -= at % length
	i := len(w)
	for i > 0 && w[i-1].At > at {
		i--
	}
	if i > 0 && w[i-1].At == at {
		w[i-1].Total += t.Total
		w[i-1].Failed += t.Failed
		return w
	}
	w = append(w, slot{})
	copy(w[i+1:], w[i:])
	w[i] = slot{at, t.Total, t.Failed}
	return w
}

// since is the window without the slots that end at a time or before.
func (w window) since(at, length int64) window {
	i := 0
	for i < len(w) && w[i].At+length <= at {
		i++
	}
	return w[i:]
}

// sum counts all slots.
func (w window) sum() (t tally) {
	for _, s := range w {
		t.Total += s.Total
		t.Failed += s.Failed
	}
	return t
}

// moved is the window as it would be if everything had been earlier by so much.
func (w window) moved(by int64) window {
	for i := range w {
		w[i].At -= by
	}
	return w
}
