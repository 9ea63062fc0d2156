package keys

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// importMany imports n keys in one file, and returns their texts.
func importMany(t testing.TB, store *Store, n int) []string {
	t.Helper()
	var lines strings.Builder
	texts := make([]string, n)
	for i := range texts {
		key, err := New(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = key.Secret.Reveal()
		fmt.Fprintf(&lines, `{"name":"many %d","key":%q,"tenant":"acme","permissions":["users:read"]}`+"\n", i, texts[i])
	}
	imports, err := ReadJSONLines(strings.NewReader(lines.String()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Import(t.Context(), imports); err != nil {
		t.Fatal(err)
	}
	return texts
}

// TestManyDistinctKeysStayBounded: ten times as many keys as are to be
// remembered, each used, leave no more of them in memory, nor of their uses, nor
// of the changes that made them; with Redis, and without.
func TestManyDistinctKeysStayBounded(t *testing.T) {
	t.Parallel()
	const entries = 1000
	check := func(t *testing.T, r *rig, texts []string) {
		t.Helper()
		together(len(texts), 64, func(i int) {
			answer, err := r.Find(t.Context(), texts[i])
			for again := 0; errors.Is(err, ErrUnavailable) && again < 20; again++ { // on a machine that stands still
				answer, err = r.Find(t.Context(), texts[i])
			}
			if err != nil || answer.State != Valid {
				t.Errorf("%s, %v; want %s", answer.State, err, Valid)
			}
		})
		if known, uses := r.known.len(), len(r.uses.take()); known != entries || uses > entries || r.unknown.len() != 0 {
			t.Errorf("%d keys and %d uses are remembered, want %d and at most as many", known, uses, entries)
		}
	}
	t.Run("sqlite", func(t *testing.T) {
		r := newRig(t, newSQLite(t), Settings{CacheEntries: entries})
		check(t, r, importMany(t, r.other, 10*entries))
	})
	t.Run("postgres and redis", func(t *testing.T) {
		f := newFleet(t)
		texts := importMany(t, f.command, 2*entries)
		for i, from := range []layer{layerDatabase, layerRedis} {
			r := f.instanceWith(t, patient, func(r *rig) {
				r.known, r.uses = newTable(entries), newUses(entries)
				r.shared.recent = newRecent(entries)
			})
			check(t, r, texts)
			if n := r.from(from); n != float64(len(texts)) {
				t.Errorf("instance %d: %v of %d keys came from the %s", i, n, len(texts), from)
			}
			eventually(t, func() bool { return len(f.names(t, "*")) == len(texts) })
			if n := len(r.shared.recent.last); n > entries {
				t.Errorf("%d changes are remembered, want at most %d", n, entries)
			}
		}
	})
}
