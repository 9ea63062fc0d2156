package keys

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const issuer = "https://id.example.com/"

func revoke(t *testing.T, s *Store, r Revocation) Revocation {
	t.Helper()
	r.Issuer = issuer
	made, err := s.RevokeTokens(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// follower is a gateway's view of a database, kept current until the test ends.
func follower(t *testing.T, s *Store, file string) *RevokedTokens {
	t.Helper()
	f := newRevokedTokens(s, file, time.Now, discard())
	f.Start(t.Context())
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f
}

// wantIn2s waits until a token is judged so, and fails where that takes longer
// than promised.
func wantIn2s(t *testing.T, f *RevokedTokens, token Token, revoked bool) {
	t.Helper()
	began := time.Now()
	eventually(t, func() bool {
		asked := time.Now()
		if f.Revoked(token) == revoked {
			return true
		}
		if asked.Sub(began) > promised {
			t.Fatalf("%+v: revoked is still %t after %s", token, !revoked, asked.Sub(began))
		}
		return false
	})
}

// TestRevokedTokensAreSeenByEveryGateway in time, whoever revoked them.
func TestRevokedTokensAreSeenByEveryGateway(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		command := openStore(t, db.url)
		var gateways []*RevokedTokens
		for range 3 {
			gateways = append(gateways, follower(t, openStore(t, db.url), ""))
		}
		now := time.Now().Truncate(time.Second)
		early, late := Token{issuer, "1", "alice", now.Add(-time.Hour)}, Token{issuer, "2", "alice", now.Add(time.Hour)}
		never := Token{Issuer: issuer, ID: "3", Subject: "alice"} // it does not say when it was issued
		bob, other := Token{issuer, "4", "bob", now.Add(-time.Hour)}, Token{"https://other.example.com/", "1", "alice", now.Add(-time.Hour)}
		judged := func(revoked bool, tokens ...Token) {
			t.Helper()
			for _, g := range gateways {
				for _, token := range tokens {
					wantIn2s(t, g, token, revoked)
				}
			}
		}
		judged(false, early, late, never, bob, other)
		byID := revoke(t, command, Revocation{TokenID: "1"})
		judged(true, early)
		judged(false, late, never, bob, other)
		if _, err := command.RestoreTokens(t.Context(), byID.ID); err != nil {
			t.Fatal(err)
		}
		judged(false, early)
		bySubject := revoke(t, command, Revocation{Subject: "alice", IssuedBefore: now, Until: now.Add(time.Hour), By: "carol", Why: "stolen laptop"})
		judged(true, early, never)
		judged(false, late, bob, other)
		revoke(t, command, Revocation{IssuedBefore: now})
		judged(true, bob)
		judged(false, late, other)
		// By hand, too.
		execute(t, db.url, fmt.Sprintf(`UPDATE token_revocations SET issued_before = %d WHERE id = %d`, now.Add(2*time.Hour).UnixMilli(), bySubject.ID))
		judged(true, late)
		listed, err := command.Revocations(t.Context())
		if err != nil || len(listed) != 2 || listed[0].By != "carol" || listed[0].Why != "stolen laptop" || listed[0].At.IsZero() {
			t.Errorf("listed: %+v, %v", listed, err)
		}
		execute(t, db.url, `DELETE FROM token_revocations`)
		judged(false, early, late, never, bob, other)
		if _, err := command.RestoreTokens(t.Context(), byID.ID); !errors.Is(err, ErrNoRevocation) {
			t.Errorf("restoring what is no longer there: %v", err)
		}
	})
}

// TestNoRevocationIsMissed, however many are written at once.
func TestNoRevocationIsMissed(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		gateway := follower(t, openStore(t, db.url), "")
		const writers, each = 4, 25
		var wg sync.WaitGroup
		for w := range writers {
			store := openStore(t, db.url)
			wg.Go(func() {
				for i := range each {
					if _, err := store.RevokeTokens(t.Context(), Revocation{Issuer: issuer, TokenID: fmt.Sprintf("%d-%d", w, i)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for w := range writers {
			for i := range each {
				wantIn2s(t, gateway, Token{Issuer: issuer, ID: fmt.Sprintf("%d-%d", w, i)}, true)
			}
		}
	})
}

// TestRevocationsOutliveTheDatabase: what is known stays in force while the
// database does not answer, and is there for a start without it.
func TestRevocationsOutliveTheDatabase(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state", "revocations.json")
	token := Token{Issuer: issuer, ID: "1"}
	url := newSQLite(t).url
	store := openStore(t, url)
	revoke(t, store, Revocation{TokenID: "1"})
	away := &unreadable{revocationSource: store}
	first := newRevokedTokens(away, file, time.Now, discard())
	first.Start(t.Context())
	away.now = true
	first.sync(t.Context())
	if !first.Revoked(token) {
		t.Error("forgotten when the database went away")
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy: %v, %v", info, err)
	}
	second := newRevokedTokens(away, file, time.Now, discard())
	second.Start(t.Context())
	if !second.Revoked(token) {
		t.Error("not known after a start without the database")
	}
	away.now = false
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	execute(t, url, `DELETE FROM token_revocations`)
	second.sync(t.Context())
	if second.Revoked(token) {
		t.Error("the copy outlived what the database says")
	}
	away.now = true
	var log strings.Builder
	third := newRevokedTokens(away, filepath.Join(t.TempDir(), "none"), time.Now, slog.New(slog.NewTextHandler(&log, nil)))
	third.Start(t.Context())
	if third.Revoked(token) || !strings.Contains(log.String(), "no copy") {
		t.Errorf("without database and copy it says: %s", &log)
	}
}

// unreadable is a database that does not answer now.
type unreadable struct {
	revocationSource
	now bool
}

func (u *unreadable) revocationsState(ctx context.Context) (revocationsState, error) {
	if u.now {
		return revocationsState{}, errors.New("no answer")
	}
	return u.revocationSource.revocationsState(ctx)
}

func TestRevocationsThatAreOverAreForgotten(t *testing.T) {
	t.Parallel()
	store := openStore(t, newSQLite(t).url)
	now := time.Now()
	revoke(t, store, Revocation{TokenID: "1", Until: now.Add(time.Minute)})
	f := newRevokedTokens(store, "", func() time.Time { return now }, discard())
	f.Start(t.Context())
	f.known.forget(now.Add(time.Second))
	if f.known.len() != 1 {
		t.Fatal("forgotten too soon")
	}
	f.known.forget(now.Add(time.Minute))
	if f.known.len() != 0 {
		t.Error("remembered for ever")
	}
	store.now = func() time.Time { return now.Add(time.Hour) }
	revoke(t, store, Revocation{TokenID: "2"})
	if all, err := store.Revocations(t.Context()); err != nil || len(all) != 1 || all[0].TokenID != "2" {
		t.Errorf("in the database are %+v, %v", all, err)
	}
}

func TestRevocationsThatMeanNothing(t *testing.T) {
	t.Parallel()
	store := openStore(t, newSQLite(t).url)
	now := time.Now()
	for want, r := range map[string]Revocation{
		"issuer is missing": {TokenID: "1"},
		"exclude":           {Issuer: issuer, TokenID: "1", Subject: "alice"},
		"whenever":          {Issuer: issuer, TokenID: "1", IssuedBefore: now},
		"time is missing":   {Issuer: issuer, Subject: "alice"},
		"is over":           {Issuer: issuer, TokenID: "1", Until: now.Add(-time.Second)},
		"longer than":       {Issuer: issuer, TokenID: strings.Repeat("a", maxRevocationText+1)},
	} {
		if _, err := store.RevokeTokens(t.Context(), r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an error with %q", r, err, want)
		}
	}
}

// TestRevokedIsWhatTheListSays: the maps agree with a plain reading of the list.
func TestRevokedIsWhatTheListSays(t *testing.T) {
	t.Parallel()
	text := rapid.SampledFrom([]string{"", "a", "b"})
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		if n := rapid.Int64Range(0, 4).Draw(t, "second"); n > 0 {
			return time.Unix(n, 0)
		}
		return time.Time{}
	})
	rapid.Check(t, func(t *rapid.T) {
		var set revoked
		list := map[int64]Revocation{}
		for id := range int64(rapid.IntRange(0, 12).Draw(t, "revocations")) {
			r := Revocation{ID: id, Issuer: text.Draw(t, "issuer"), TokenID: text.Draw(t, "jti"), Subject: text.Draw(t, "sub"), IssuedBefore: moment.Draw(t, "before")}
			if r.fault(time.Unix(0, 0)) != nil {
				continue
			}
			set.add(r)
			set.add(r) // what is seen twice
			list[id] = r
		}
		if rapid.Bool().Draw(t, "some are taken back") {
			for id := range list {
				if id%2 == 0 {
					delete(list, id)
				}
			}
			var left []Revocation
			for _, r := range list {
				left = append(left, r)
			}
			set.replace(left)
		}
		token := Token{text.Draw(t, "iss of token"), text.Draw(t, "jti of token"), text.Draw(t, "sub of token"), moment.Draw(t, "iat")}
		want := false
		for _, r := range list {
			want = want || r.Issuer == token.Issuer && (r.TokenID != "" && r.TokenID == token.ID ||
				r.TokenID == "" && (r.Subject == "" || r.Subject == token.Subject) && token.IssuedAt.Before(r.IssuedBefore))
		}
		if got := set.covers(token); got != want {
			t.Fatalf("%+v: revoked %t, the list says %t: %+v", token, got, want, list)
		}
	})
}
