package keys

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

func hexOf(b []byte) string { return hex.EncodeToString(b) }

func TestRotationOverlaps(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		r.other.now = r.clock.Now
		record, first := create(t, r.other)
		r.want(t, first, Valid)
		rotated, secret, err := r.other.Rotate(t.Context(), record.ID, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		second := secret.Reveal()
		if parsed, ok := Parse(second); !ok || parsed.ID != record.ID || second == first || rotated.Tenant != record.Tenant {
			t.Fatalf("rotated %+v, its text says %+v, %v", rotated, parsed, ok)
		}
		r.poll(t)
		r.want(t, first, Valid)
		r.want(t, second, Valid)
		r.want(t, otherSecret(t, first), Unknown)

		if _, _, err := r.other.Rotate(t.Context(), record.ID, time.Minute); err == nil || !strings.Contains(err.Error(), "goes on until") {
			t.Errorf("Rotate within the overlap = %v, want it refused", err)
		}
		r.clock.advance(rotated.PreviousUntil.Sub(r.clock.Now()))
		r.poll(t)
		r.want(t, first, Expired)
		r.want(t, second, Valid)

		_, secret, err = r.other.Rotate(t.Context(), record.ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		r.poll(t)
		r.want(t, first, Unknown)
		r.want(t, second, Expired)
		r.want(t, secret.Reveal(), Valid)
	})
}

func TestRotateRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		store := openStore(t, db.url)
		record, text := create(t, store)
		for id, want := range map[string]string{text: "this is the key itself", "0000000000000": "no such key", "x": "not an id"} {
			if _, _, err := store.Rotate(t.Context(), id, 0); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), text) {
				t.Errorf("Rotate = %v, want ErrNotFound with %q", err, want)
			}
		}
		if _, _, err := store.Rotate(t.Context(), record.ID, -1); err == nil || !strings.Contains(err.Error(), "overlap: -1ns") {
			t.Errorf("Rotate = %v, want the overlap refused", err)
		}
		if _, err := store.Revoke(t.Context(), record.ID); err != nil {
			t.Fatal(err)
		}
		if _, _, err := store.Rotate(t.Context(), record.ID, 0); err == nil || !strings.Contains(err.Error(), "it is revoked") {
			t.Errorf("Rotate of a revoked key = %v, want it refused", err)
		}
	})
}

// TestRotationsAtOnce: every one that succeeds gives a secret that was valid;
// none is lost silently.
func TestRotationsAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		store := openStore(t, db.url)
		record, _ := create(t, store)
		rotated := make([]bool, 8)
		together(len(rotated), len(rotated), func(i int) {
			_, _, err := store.Rotate(t.Context(), record.ID, 0)
			rotated[i] = err == nil
			if err != nil && !strings.Contains(err.Error(), "somebody else") {
				t.Error(err)
			}
		})
		done := 0
		for _, ok := range rotated {
			if ok {
				done++
			}
		}
		audited, err := store.Audit(t.Context(), AuditFilter{KeyID: record.ID})
		if err != nil || done == 0 || len(audited) != 1+done {
			t.Errorf("%d rotations and %d entries in the audit, %v; want one each, and the creation", done, len(audited), err)
		}
	})
}

func TestEveryChangeIsAudited(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		store := openStore(t, db.url).As("ada@desk")
		now := noon
		store.now = func() time.Time { now = now.Add(time.Second); return now }
		record, secret, err := store.Create(t.Context(), Spec{Name: "x", Tenant: "acme"})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := store.Rotate(t.Context(), record.ID, 0); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second changes nothing
			if _, err := store.Revoke(t.Context(), record.ID); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := store.Import(t.Context(), readCSV(t, "name,key\ny,"+strings.Repeat("k", 20))); err != nil {
			t.Fatal(err)
		}
		if _, _, err := store.Create(t.Context(), Spec{}); err == nil {
			t.Fatal("Create takes a bad spec")
		}
		if _, err := store.List(t.Context(), Filter{Tenant: "acme"}); err != nil {
			t.Fatal(err)
		}
		if _, err := store.List(t.Context(), Filter{Owner: strings.Repeat("x", maxAsked+1)}); err != nil {
			t.Fatal(err)
		}
		audited, err := store.Audit(t.Context(), AuditFilter{})
		var actions []string
		for _, a := range audited {
			actions = append(actions, a.Action)
			if a.Actor != "ada@desk" || a.At.Before(noon) || a.At.After(now) || strings.Contains(string(a.Detail), secret.Reveal()) {
				t.Errorf("audited %+v", a)
			}
		}
		if got := strings.Join(actions, " "); err != nil || got != "create rotate revoke import list list" {
			t.Fatalf("audited %q, %v", got, err)
		}
		if got := string(audited[4].Detail); got != `{"tenant":"acme","shown":1}` {
			t.Errorf("detail of the list: %s", got)
		}
		if got := string(audited[5].Detail); got != `{"tooLong":true,"shown":0}` {
			t.Errorf("detail of a list by a long name: %s", got)
		}
		if !strings.Contains(string(audited[0].Detail), `"tenant":"acme"`) {
			t.Errorf("detail of the creation: %s", audited[0].Detail)
		}
		newest, err := store.Audit(t.Context(), AuditFilter{KeyID: record.ID, Since: audited[1].At, Limit: 1})
		if err != nil || len(newest) != 1 || newest[0].Action != actionRevoke {
			t.Errorf("the newest of the key: %+v, %v", newest, err)
		}
	})
}
