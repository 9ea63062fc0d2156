package keys

import (
	"testing"

	"pgregory.net/rapid"
)

// TestRecentIsAPlainReadingOfTheFeed: whatever is changed and read when, a
// value is taken only if it is what the feed says; and always where the feed is
// short enough to be remembered whole.
func TestRecentIsAPlainReadingOfTheFeed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := []string{"a", "b", "c", "d", "e", "f"}
		drawID := rapid.SampledFrom(ids)
		feed := rapid.SliceOfN(drawID, 0, 40).Draw(t, "feed") // change i+1 is of feed[i]
		versionAt := func(id string, seq int) (version int64) {
			for i, changed := range feed[:seq] {
				if changed == id {
					version = int64(i) + 1
				}
			}
			return version
		}
		begin := rapid.IntRange(0, len(feed)).Draw(t, "begin")
		kept := rapid.IntRange(1, 20).Draw(t, "kept")
		r := newRecent(kept)
		var newest []change // the last of each id, as the database holds them
		for _, id := range ids {
			if version := versionAt(id, begin); version > 0 {
				newest = append(newest, change{seq: version, id: id})
			}
		}
		sortChanges(newest)
		whole := len(newest) <= kept
		r.reset(newest[max(0, len(newest)-kept):], whole)
		for i := begin; i < len(feed); i++ {
			r.note(feed[i], int64(i)+1)
		}
		id := drawID.Draw(t, "id")
		readAt := rapid.IntRange(0, len(feed)).Draw(t, "readAt")
		asOf := rapid.IntRange(0, readAt).Draw(t, "asOf")
		version, current := versionAt(id, readAt), versionAt(id, len(feed))
		taken := r.isCurrent(id, version, int64(asOf))
		if taken && version != current {
			t.Fatalf("version %d of %s is taken, it has %d", version, id, current)
		}
		if !taken && version == current && whole && len(newest)+len(feed)-begin <= kept {
			t.Fatalf("version %d of %s is not taken, though all changes are known", version, id)
		}
		if len(r.last) > kept || len(r.order) > kept {
			t.Fatalf("%d ids and %d changes are kept, want at most %d", len(r.last), len(r.order), kept)
		}
	})
}

func sortChanges(changes []change) {
	for i := range changes {
		for j := i; j > 0 && changes[j].seq < changes[j-1].seq; j-- {
			changes[j], changes[j-1] = changes[j-1], changes[j]
		}
	}
}
