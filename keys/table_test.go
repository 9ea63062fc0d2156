package keys

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTableForgetsWhatIsNotUsed(t *testing.T) {
	const max = 1000
	table := newTable(max)
	now := noon
	for i := range max {
		table.put(fmt.Sprint(i), &Record{}, now)
	}
	// A hundred stay in use while ten times the table's size passes through.
	for i := range 10 * max {
		now = now.Add(time.Millisecond)
		table.put(fmt.Sprint("new ", i), &Record{}, now)
		for used := range 100 {
			if i%10 == 0 {
				table.get(fmt.Sprint(used), now)
			}
		}
		if table.len() > max {
			t.Fatalf("%d entries, want at most %d", table.len(), max)
		}
	}
	kept := 0
	for used := range 100 {
		if _, hit := table.get(fmt.Sprint(used), now); hit {
			kept++
		}
	}
	if kept < 95 {
		t.Errorf("%d of 100 entries in use were kept", kept)
	}
}

func TestTableReplacesOnlyWhatIsThere(t *testing.T) {
	table := newTable(10)
	table.replace("a", &Record{Name: "new"})
	if table.len() != 0 {
		t.Error("replace added an entry")
	}
	table.put("a", &Record{Name: "old"}, noon)
	table.replace("a", &Record{Name: "new"})
	if record, hit := table.get("a", noon); !hit || record.Name != "new" {
		t.Errorf("%+v, %v; want the new record", record, hit)
	}
	table.remove("a")
	if _, hit := table.get("a", noon); hit {
		t.Error("removed, and there")
	}
}

func TestWaitingIsBounded(t *testing.T) {
	w := newWaiting()
	for i := range waitingMax {
		if _, err := w.join(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.join("one more"); !errors.Is(err, errTooMany) {
		t.Errorf("join = %v, want errTooMany", err)
	}
	if _, err := w.join("0"); err != nil {
		t.Errorf("joining one that waits: %v", err)
	}
	first := w.take(2)
	if len(first) != 2 || first[0].id != "0" || first[1].id != "1" {
		t.Errorf("took %v, want the first two", first)
	}
	late, err := w.join("0")
	if err != nil || late == first[0] {
		t.Errorf("join = %v, %v; want a read of its own, as that of the others has begun", late, err)
	}
}

func TestTableHoldsItsInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		max := rapid.IntRange(1, 6).Draw(t, "max")
		table := newTable(max)
		now := noon
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			id := rapid.StringMatching(`[a-j]`).Draw(t, "id")
			now = now.Add(time.Second)
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				record := &Record{Name: now.String()}
				table.put(id, record, now)
				if got, hit := table.get(id, now); !hit || got != record {
					t.Fatalf("put and not there: %v, %v", got, hit)
				}
			case 2:
				table.remove(id)
				if _, hit := table.get(id, now); hit {
					t.Fatal("removed and there")
				}
			case 3:
				table.get(id, now)
			}
			if len(table.all) != len(table.entries) || len(table.all) > max {
				t.Fatalf("%d and %d entries, want as many of both, and at most %d", len(table.all), len(table.entries), max)
			}
			for place, entry := range table.all {
				if entry.place != place || table.entries[entry.id] != entry {
					t.Fatalf("entry %q is not where it says", entry.id)
				}
			}
		}
	})
}

func BenchmarkFindKnownKey(b *testing.B) {
	r := newRig(b, newSQLite(b), Settings{})
	_, text := create(b, r.other)
	r.want(b, text, Valid)
	b.ReportAllocs()
	for b.Loop() {
		r.want(b, text, Valid)
	}
}
