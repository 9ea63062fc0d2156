package test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
)

// poisoned is a gateway under load that is fed one bad config after the other.
type poisoned struct {
	*gateway
	t     *testing.T
	text  string // the sound config, with steps
	steps int
}

func startPoisoned(t *testing.T) *poisoned {
	t.Helper()
	g := start(t, setup{config: sound, values: map[string]string{"app": backend(t, "app").Addr(), "issuer": idp(t).Issuer()}})
	p := &poisoned{gateway: g, t: t, text: string(g.render(sound))}
	p.goOn()
	p.wantStatus("applied", "")
	return p
}

// put writes the file as it is, in one step.
func (p *poisoned) put(text string) {
	p.t.Helper()
	if err := os.WriteFile(p.file+".next", []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(p.file+".next", p.file); err != nil {
		p.t.Fatal(err)
	}
}

// goOn makes a good change: a route that serves soon after.
func (p *poisoned) goOn() {
	p.t.Helper()
	p.steps++
	p.text += fmt.Sprintf("  - {name: step-%d, match: {path: /step-%d}, auth: public, respond: {status: 200}}\n", p.steps, p.steps)
	p.put(p.text)
	p.servesStep()
}

// servesStep waits until the newest step is served.
func (p *poisoned) servesStep() {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("step %d is served", p.steps), func() error {
		if r := get(p.t, p.url("public", fmt.Sprintf("/step-%d", p.steps))); r.Status != http.StatusOK {
			return errStatus(r)
		}
		return nil
	})
}

// serves checks that all is served as before.
func (p *poisoned) serves() {
	p.t.Helper()
	for path, status := range map[string]int{"/app/1": 200, "/edit": 200, "/closed": 401, fmt.Sprintf("/step-%d", p.steps): 200} {
		if r := get(p.t, p.url("public", path)); r.Status != status {
			p.t.Errorf("%s: %v, want %d", path, errStatus(r), status)
		}
	}
}

// wantStatus waits until the command tells this of the last change.
func (p *poisoned) wantStatus(result, fault string) (r statusReport) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("the status is %s: %s", result, fault), func() error {
		var code int
		r, code = p.status()
		told := slices.ContainsFunc(r.LastReload.Faults, func(f string) bool { return strings.Contains(f, fault) })
		if r.LastReload.Result != result || told != (fault != "") || (code == 0) != (fault == "") {
			return fmt.Errorf("exit code %d: %.2000s", code, fmt.Sprintf("%+v", r))
		}
		return nil
	})
	return r
}

// wantLogged waits until the log after a position tells it.
func (p *poisoned) wantLogged(position int, text string) {
	p.t.Helper()
	eventually(p.t, "the log tells it", func() error {
		// A log line has the quotes of a text escaped.
		told := p.stderr.String()[position:]
		if !strings.Contains(told, text) && !strings.Contains(told, strings.Trim(strconv.Quote(text), `"`)) {
			return fmt.Errorf("%q is not in %.2000s", text, told)
		}
		return nil
	})
}

// asksFor is a request to the gateway that must be answered with 200.
func (g *gateway) asksFor(path string, headers ...header) func() error {
	url := g.url("public", path)
	return func() error {
		r, err := try(http.MethodGet, url, headers...)
		if err == nil && r.Status != http.StatusOK {
			err = errStatus(r)
		}
		return err
	}
}

// envoyStays checks that Envoy has not been started a second time.
func (p *poisoned) envoyStays() {
	p.t.Helper()
	if pids := p.envoyPIDs(); len(pids) != 1 {
		p.t.Errorf("Envoys: %v, want the one from the start", pids)
	}
}

// TestPoisonChangesNothing: each kind of bad file is told in the log and by
// status with its line, path and rule; what was served still is, under load;
// nothing of it reaches Envoy; and the next good change is served.
func TestPoisonChangesNothing(t *testing.T) {
	t.Parallel()
	p := startPoisoned(t)
	requests := steady(p.asksFor("/app/1"), p.asksFor("/edit"))
	answers, beside := p.xdsAnswers()
	steps := p.steps
	for _, kind := range poisons {
		version := p.wantStatus("applied", "").Config.Version
		position := len(p.stderr.String())
		p.put(kind.spoil(t, p.text))
		p.wantLogged(position, kind.want)
		want := kind.want
		if strings.HasPrefix(want, ":") {
			want = "gateway.yaml" + want
		}
		if now := p.wantStatus("invalid", want).Config.Version; now != version {
			t.Errorf("%s: version %s is served, want %s still", kind.name, now, version)
		}
		p.serves()
		p.goOn()
		if t.Failed() {
			t.Fatal("after: " + kind.name)
		}
	}
	// A good change of one route is one response, the table; and no more than one with the
	// version, for the log. (Once in five minutes there is one that says that time passes.)
	now, told := p.xdsAnswers()
	if n, m, good := now-answers, told-beside, p.steps-steps; n != good || m > good+1 {
		t.Errorf("Envoy has answered %d times, and %d times to a version, to %d good changes and %d bad ones", n, m, good, len(poisons))
	}
	p.envoyStays()
	requests.stop(t)
}

// TestPoisonThatCannotBeRead: a file that is too large, gone, or no file.
// Whatever stands there afterwards, also the same as before, is heeded.
func TestPoisonThatCannotBeRead(t *testing.T) {
	t.Parallel()
	p := startPoisoned(t)
	requests := steady(p.asksFor("/app/1"), p.asksFor("/edit"))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []struct {
		name  string
		spoil func()
		want  string
	}{
		{"too large", func() {
			must(os.WriteFile(p.file+".next", nil, 0o600))
			must(os.Truncate(p.file+".next", config.MaxSize+1))
			must(os.Rename(p.file+".next", p.file))
		}, fmt.Sprintf("the config is too large: it has more than %d bytes", config.MaxSize)},
		{"empty", func() { p.put("") }, "the file is empty"},
		{"gone", func() { must(os.Remove(p.file)) }, "the file is not there"},
		{"a folder", func() { must(os.Remove(p.file)); must(os.Mkdir(p.file, 0o700)) }, "is not a file"},
		{"a link to itself", func() { must(os.Remove(p.file)); must(os.Symlink(p.file, p.file)) }, "too many links"},
	} {
		position := len(p.stderr.String())
		kind.spoil()
		p.wantLogged(position, kind.want)
		p.wantStatus("unreadable", kind.want)
		p.serves()
		must(os.RemoveAll(p.file))
		p.put(p.text)
		p.wantWell()
		p.goOn()
		p.wantStatus("applied", "")
	}
	p.envoyStays()
	requests.stop(t)
}

// TestPoisonForEnvoy: what only an Envoy can know is refused by it once, told
// in its words, and alone not served.
func TestPoisonForEnvoy(t *testing.T) {
	t.Parallel()
	p := startPoisoned(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	requests := steady(p.asksFor("/app/1"), p.asksFor("/edit"))
	before, steps := time.Now(), p.steps
	answers, _ := p.xdsAnswers()
	second := func(address string) func(*testing.T, string) string {
		return edited("backends:\n", "  - {name: second, address: \""+address+"\"}\nbackends:\n")
	}
	kinds := []poison{
		{"a port in use", second(taken.Addr().String()), "Listener second: refused by Envoy gatewright: Error adding/updating listener(s) second: cannot bind '" + taken.Addr().String() + "': Address already in use"},
		{"an address that is not ours", second("203.0.113.77:8080"), "cannot bind '203.0.113.77:8080': Cannot assign requested address"},
		{"an IPv6 address that is not ours", second("[2001:db8::1]:8080"), "cannot bind '[2001:db8::1]:8080': Cannot assign requested address"},
		{"the gateway's own admin port", second(p.admin), "cannot bind '" + p.admin + "': Address already in use"},
		{"the listener in use moves to a port in use", func(t *testing.T, sound string) string {
			return edited(p.listeners["public"], taken.Addr().String())(t, sound)
		}, "Listener public: refused by Envoy gatewright: Error adding/updating listener(s) public: cannot bind '" + taken.Addr().String() + "': Address already in use"},
	}
	for i, kind := range kinds {
		position := len(p.stderr.String())
		p.steps++
		p.text += fmt.Sprintf("  - {name: step-%d, match: {path: /step-%d}, auth: public, respond: {status: 200}}\n", p.steps, p.steps)
		bad := kind.spoil(t, p.text)
		p.put(bad)
		p.wantStatus("refused", kind.want)
		_, words, _ := strings.Cut(kind.want, "cannot bind ")
		p.wantLogged(position, words)
		p.wantLogged(position, `msg="envoy refused resources" node=gatewright type=Listener`)
		p.servesStep() // the rest of the change
		p.serves()
		p.goOn() // without it
		p.wantStatus("applied", "")
		if m := p.metrics(); !strings.Contains(m, fmt.Sprintf("\ngatewright_xds_nacks_total{type=\"Listener\"} %d\n", i+1)) {
			t.Errorf("%s: not refused exactly once: %s", kind.name, only(m, "gatewright_xds_nacks_total"))
		}
		if t.Failed() {
			t.Fatal("after: " + kind.name)
		}
	}
	now, _ := p.xdsAnswers()
	if most := 5 * time.Since(before).Seconds(); float64(now-answers-(p.steps-steps)) > most {
		t.Errorf("Envoy has answered %d times to %d changes, want at most 5 times a second more", now-answers, p.steps-steps)
	}
	p.envoyStays()
	requests.stop(t)
}

// TestRefusalStaysTold: a broken file that comes and goes does not make a part
// that is not served forgotten.
func TestRefusalStaysTold(t *testing.T) {
	t.Parallel()
	p := startPoisoned(t)
	p.text = edited("backends:\n", "  - {name: second, address: \""+p.admin+"\"}\nbackends:\n")(t, p.text)
	p.put(p.text)
	p.wantStatus("refused", "Listener second: refused by Envoy")
	p.put("listeners: [")
	p.wantStatus("invalid", "YAML syntax")
	p.put(p.text)
	p.wantStatus("refused", "Listener second: refused by Envoy")
	p.put(p.text + "# a word\n")
	p.wantStatus("refused", "Listener second: refused by Envoy")
}

// wantWell waits until the command finds nothing amiss.
func (p *poisoned) wantWell() {
	p.t.Helper()
	eventually(p.t, "all is well", func() error {
		if r, code := p.status(); code != 0 || len(r.LastReload.Faults) > 0 {
			return fmt.Errorf("exit code %d: %+v", code, r)
		}
		return nil
	})
}
