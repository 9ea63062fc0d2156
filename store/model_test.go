package store

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is what a store promises, plainly: a content, and all that ever was.
type model struct {
	s    Store
	p    place
	now  string // empty: there is none
	all  []string
	seen []seen // what was read at some time
	// writes makes each state different from all before.
	writes int
}

// seen is a revision, and after how many writes it was read.
type seen struct {
	revision string
	writes   int
}

// TestStoresAreTheModel: whatever is done in whatever order, a store and the
// model agree.
func TestStoresAreTheModel(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newPlace := kind(t)
			places := 0
			rapid.Check(t, func(rt *rapid.T) {
				places++
				p := newPlace(fmt.Sprint(places))
				s, err := Open(p.location, Settings{}, p.stateDir, slog.New(slog.DiscardHandler))
				must(rt, err)
				defer s.Close() // what matters was read
				m := &model{s: s, p: p}
				for range rapid.IntRange(1, 20).Draw(rt, "steps") {
					m.step(rt)
					m.check(rt)
				}
			})
		})
	}
}

func (m *model) step(t *rapid.T) {
	contents := rapid.SampledFrom([]string{"a", "b", "c"})
	switch rapid.SampledFrom([]string{"apply", "expect", "edit", "edit", "remove", "rollback"}).Draw(t, "step") {
	case "apply":
		m.applied(contents.Draw(t, "content"))
		m.apply(t, Write{Who: "ann"})
	case "expect":
		if len(m.seen) == 0 {
			return
		}
		base := rapid.SampledFrom(m.seen).Draw(t, "base")
		content := contents.Draw(t, "content")
		if base.writes != m.writes {
			_, err := m.s.Apply(background, []byte(content), Write{Who: "ann", Expected: base.revision})
			wantError(t, err, ErrConflict)
			return
		}
		m.applied(content)
		m.apply(t, Write{Who: "ann", Expected: base.revision})
	case "edit":
		m.writes++
		m.now = fmt.Sprint(contents.Draw(t, "content"), " by hand ", m.writes)
		m.p.put(m.now)
	case "remove":
		if m.now != "" {
			m.writes++
			m.now = ""
			m.p.remove()
		}
	case "rollback":
		if len(m.all) == 0 {
			return
		}
		first := max(0, len(m.all)-keep/2) // kept, even when an edit is recorded
		i := rapid.IntRange(first, len(m.all)-1).Draw(t, "version")
		m.applied(m.all[i])
		v, err := Rollback(background, m.s, int64(i+1), Write{Who: "ann"})
		must(t, err)
		want(t, "number", v.Number, int64(len(m.all)))
		want(t, "rolled back to", v.RolledBackTo, int64(i+1))
	}
}

// applied changes the model as Apply changes the store.
func (m *model) applied(content string) {
	if m.now != "" && (len(m.all) == 0 || m.all[len(m.all)-1] != m.now) {
		m.all = append(m.all, m.now)
	}
	m.all = append(m.all, content)
	m.now = content
	m.writes++
}

func (m *model) apply(t *rapid.T, w Write) {
	v, err := m.s.Apply(background, []byte(m.now), w)
	must(t, err)
	want(t, "number", v.Number, int64(len(m.all)))
}

// check compares all that can be seen.
func (m *model) check(t *rapid.T) {
	got, err := m.s.Read(background)
	if m.now == "" {
		wantError(t, err, ErrNotFound)
		m.seen = append(m.seen, seen{Absent, m.writes})
	} else {
		must(t, err)
		want(t, "content", string(got.Data), m.now)
		applied := len(m.all) > 0 && m.all[len(m.all)-1] == m.now
		want(t, "is the newest version", got.Version != nil, applied)
		m.seen = append(m.seen, seen{got.Revision, m.writes})
	}
	// Any absence is like another.
	m.seen = slices.DeleteFunc(m.seen, func(s seen) bool { return s.revision == Absent && s.writes != m.writes })
	m.seen = m.seen[max(0, len(m.seen)-5):]
	versions, err := m.s.History(background)
	must(t, err)
	want(t, "versions", len(versions), min(len(m.all), keep))
	if len(versions) > 0 {
		newest := versions[0]
		want(t, "newest", newest.Number, int64(len(m.all)))
		want(t, "its hash", newest.Hash, hashOf([]byte(m.all[newest.Number-1])))
		oldest := versions[len(versions)-1].Number
		data, err := m.s.Content(background, oldest)
		must(t, err)
		want(t, "the oldest content", string(data), m.all[oldest-1])
	}
}
