package authz

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatewright/gatewright/config"
)

func TestFileSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		path := filepath.Join(folder, "jwks.json")
		write := func(name, text string) string {
			t.Helper()
			full := filepath.Join(folder, name)
			if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return full
		}
		b := newJWKSBench(t, fails(500))
		p := mainJWT()
		p.JWKS = config.JWKS{File: path}
		expect := func(when, kid string, want Reason) {
			t.Helper()
			time.Sleep(filePoll)
			synctest.Wait()
			if got := b.find(t, p, kid); got != want {
				t.Errorf("%s: %s is %s, want %s", when, kid, got, want)
			}
		}
		b.Ensure(t.Context(), []*config.JWT{p})
		expect("no file yet", "a", ReasonJWKSUnavailable)
		write("jwks.json", set("a"))
		expect("written", "a", ReasonAllowed)
		write("jwks.json", set("a", "bb"))
		expect("written in place", "bb", ReasonAllowed)
		if err := os.Rename(write("next.json", set("c")), path); err != nil {
			t.Fatal(err)
		}
		expect("renamed over it", "c", ReasonAllowed)
		expect("renamed over it", "a", ReasonTokenKeyUnknown)
		write("jwks.json", "{")
		expect("garbage", "c", ReasonAllowed)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		expect("removed", "c", ReasonAllowed)
		if err := os.Symlink(write("d.json", set("d")), path); err != nil {
			t.Fatal(err)
		}
		expect("a link", "d", ReasonAllowed)
		if err := os.Symlink(write("e.json", set("e")), filepath.Join(folder, "link")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(folder, "link"), path); err != nil {
			t.Fatal(err)
		}
		expect("another link", "e", ReasonAllowed)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		expect("a folder", "e", ReasonAllowed)
		if b.issuer.count() != 0 {
			t.Error("a file made us fetch")
		}
	})
}

func TestInlineSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJWKSBench(t, fails(500))
		good, bad := mainJWT(), mainJWT()
		bad.Name, bad.JWKS.Inline = "bad", "{}"
		began := time.Now()
		b.Ensure(t.Context(), []*config.JWT{good, bad})
		if took := time.Since(began); took != 0 {
			t.Errorf("Ensure waited %s for what cannot come", took)
		}
		if got := b.find(t, good, "ec-1"); got != ReasonAllowed {
			t.Errorf("good: %s", got)
		}
		if got := b.find(t, bad, "ec-1"); got != ReasonJWKSUnavailable {
			t.Errorf("bad: %s", got)
		}
		b.wantMetric(t, "gatewright_jwks_keys main", "3")
		b.wantMetric(t, "gatewright_jwks_fetches_total bad invalid", "1")
	})
}
