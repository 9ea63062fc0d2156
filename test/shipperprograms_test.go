package test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gatewright/gatewright/internal/testenv"
)

// shipperProgram is a shipper itself, which is run with its config of deploy/logs.
type shipperProgram struct {
	// variable is the variable of the environment that says where the program is.
	variable string
	// name is the program's in the documents, and file its config in deploy/logs.
	name, file string
	// credential is what it is to show to Elasticsearch, by its environment.
	credential string
	// fails is what it says, among other things, when nobody takes what it sends.
	fails string
	// input is how an input begins in its config.
	input string
	// places are what its config says of a machine, and how that is said of a test's own:
	// DIR is its folder, PORT and CA are of its sink.
	places []string
	// args run it with a config.
	args func(dir, config string) []string
	// env tells it of the sink.
	env func(s *sink) []string
}

var filebeatProgram = shipperProgram{
	variable: "FILEBEAT", name: "filebeat", file: "filebeat.yml", input: "  - type: filestream\n", fails: "refused",
	credential: "ApiKey " + base64.StdEncoding.EncodeToString([]byte("id:key")),
	places:     []string{"/var/log/", "DIR/"},
	args: func(dir, config string) []string {
		return []string{"-e", "-E", "logging.level=warning", "-c", config, "--path.home", filepath.Join(dir, "home")}
	},
	env: func(s *sink) []string {
		return []string{"ELASTICSEARCH_URL=https://" + s.addr, "ELASTICSEARCH_API_KEY=id:key", "SSL_CERT_FILE=" + s.ca}
	},
}

var fluentBitProgram = shipperProgram{
	variable: "FLUENT_BIT", name: "fluent-bit", file: "fluent-bit.yaml", input: "    - name: tail\n", fails: "failed to flush chunk",
	credential: "Basic " + base64.StdEncoding.EncodeToString([]byte("user:password")),
	places: []string{
		"/var/log/", "DIR/", "/var/lib/fluent-bit/", "DIR/home/", "port: 9200", "port: PORT",
		"tls: on\n", "tls: on\n      tls.ca_file: CA\n",
	},
	args: func(_, config string) []string { return []string{"-c", config} },
	env: func(*sink) []string {
		return []string{"ELASTICSEARCH_HOST=127.0.0.1", "ELASTICSEARCH_USER=user", "ELASTICSEARCH_PASSWORD=password"}
	},
}

// TestFilebeat and TestFluentBit run the shippers themselves, with their configs of
// deploy/logs, where they are given: no registry that this project builds from has them.
func TestFilebeat(t *testing.T)  { t.Parallel(); filebeatProgram.isRun(t) }
func TestFluentBit(t *testing.T) { t.Parallel(); fluentBitProgram.isRun(t) }

func (p shipperProgram) isRun(t *testing.T) {
	if os.Getenv(p.variable) == "" {
		t.Skipf("no %s: this runs the program that the variable %s is the path of, built by hand", p.name, p.variable)
	}
	lines := shippedLines(t)
	for name, run := range map[string]func(*testing.T, *shipperRun){
		"ships each line once":       shipsOnce,
		"as containers":              shipsContainers,
		"Elasticsearch is away":      outlivesAbsence,
		"it is killed meanwhile":     outlivesItsEnd,
		"Elasticsearch refuses some": outlivesRefusals,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); run(t, p.prepare(t, lines)) })
	}
	t.Run("the documented check", func(t *testing.T) { t.Parallel(); p.isChecked(t) })
}

// shippedLines are those of a real Envoy of all kinds, and of requests that would break a
// log. The longest that there may be is made of one.
func shippedLines(t *testing.T) []string {
	t.Helper()
	lines := linesOfAllKinds(t)
	g, _ := startLogged(t, "{}", "grpc")
	for _, evil := range evilTexts {
		for _, request := range []string{"/open/1 HTTP/1.1\r\nHost: a\r\nUser-Agent: " + evil, "/open/" + evil + " HTTP/1.1\r\nHost: a"} {
			_, _ = g.tryRaw("public", "GET "+request+"\r\nConnection: close\r\n\r\n") // or it is refused
		}
	}
	get(t, g.url("public", "/open/last")).ok(t)
	g.logged("/open/last")
	for line := range strings.Lines(g.stdout.String()) {
		if fields, err := objectOf(line); err == nil && fields["request_id"] != nil {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	if len(lines) < 20 {
		t.Fatalf("only %d lines: %q", len(lines), lines)
	}
	return append(lines, longest(t, lines[0]))
}

// longest is a line whose texts are as long as the template takes them, of signs that
// JSON takes six bytes for.
func longest(t *testing.T, line string) string {
	t.Helper()
	fields, err := objectOf(line)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"listener", "host", "reason", "route", "backend", "user", "tenant", "key_id", "limit", "user_agent"} {
		fields[name] = strings.Repeat("\x01", 512)
	}
	fields["path"] = strings.Repeat("\x02", 2048)
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// isChecked runs the command of deploy/logs/README.md on a copy of the files as they stand, and
// on one with a fault.
func (p shipperProgram) isChecked(t *testing.T) {
	page := read(t, "../deploy/logs/README.md")
	command := regexp.MustCompile("(?m)^    (" + p.name + " .*)$").FindStringSubmatch(page)
	if command == nil {
		t.Fatalf("deploy/logs/README.md has no command of %s", p.name)
	}
	check := func(dir string) (string, error) {
		cmd := exec.Command("bash", "-c", command[1])
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+p.onPath(t)+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	// Not in the repository: Filebeat makes folders for its own files where it is started.
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "deploy", "logs"), os.DirFS("../deploy/logs")); err != nil {
		t.Fatal(err)
	}
	if out, err := check(dir); err != nil {
		t.Errorf("%s: %v: %s", command[1], err, out)
	}
	text := read(t, "../deploy/logs/"+p.file)
	for _, fault := range [][2]string{{"  - timestamp:", "  - timestump:"}, {"parser: gatewright", "purser: gatewright"}} {
		if !strings.Contains(text, fault[0]) {
			continue
		}
		broken := strings.Replace(text, fault[0], fault[1], 1)
		if err := os.WriteFile(filepath.Join(dir, "deploy", "logs", p.file), []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := check(dir); err == nil {
			t.Errorf("%s takes %q: %s", command[1], fault[1], out)
		}
	}
}

// onPath is a folder with the program by its name. What Filebeat writes beside itself is
// written there.
func (p shipperProgram) onPath(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program, err := filepath.Abs(os.Getenv(p.variable))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(dir, p.name)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// shipperRun is a shipper with a folder and a sink of its own.
type shipperRun struct {
	shipperProgram
	t       *testing.T
	dir     string
	sink    *sink
	lines   []string // what there is to be shipped
	model   shipper  // what TestShippers says that it makes of a line
	config  string
	process *exec.Cmd
	output  *testenv.Output
}

// prepare makes the folder, and has the template be put as documented.
func (p shipperProgram) prepare(t *testing.T, lines []string) *shipperRun {
	t.Helper()
	r := &shipperRun{
		shipperProgram: p, t: t, dir: t.TempDir(), sink: startSink(t, p.credential), lines: lines,
		model: shippers(t)[p.file], config: read(t, "../deploy/logs/"+p.file), output: &testenv.Output{},
	}
	for _, dir := range []string{"gatewright", "containers", "pods", "home"} {
		if err := os.Mkdir(filepath.Join(r.dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	putTemplate(t, "https://"+r.sink.addr, "CURL_CA_BUNDLE="+r.sink.ca)
	t.Cleanup(func() {
		r.ends(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("%s says: %s", p.name, r.output)
		}
	})
	return r
}

// starts runs the program with the config, told of the test's own places.
func (r *shipperRun) starts() {
	r.t.Helper()
	config := r.config
	own := strings.NewReplacer("DIR", r.dir, "PORT", r.sink.addr[strings.LastIndex(r.sink.addr, ":")+1:], "CA", r.sink.ca)
	for place := range slices.Chunk(r.places, 2) {
		if !strings.Contains(config, place[0]) {
			r.t.Fatalf("%s has no %q", r.file, place[0])
		}
		config = strings.ReplaceAll(config, place[0], own.Replace(place[1]))
	}
	path := filepath.Join(r.dir, r.file)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		r.t.Fatal(err)
	}
	cmd := testenv.NoOrphan(exec.Command(os.Getenv(r.variable), r.args(r.dir, path)...))
	cmd.Dir, cmd.Env = r.dir, append(os.Environ(), r.env(r.sink)...)
	cmd.Stdout, cmd.Stderr = r.output, r.output
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.process = cmd
}

// ends ends the program by a signal, if it runs.
func (r *shipperRun) ends(by syscall.Signal) {
	if r.process == nil {
		return
	}
	_ = r.process.Process.Signal(by) // or it has ended, as its output says
	_ = r.process.Wait()
	r.process = nil
}

// access is the file that the config reads.
func (r *shipperRun) access() string { return filepath.Join(r.dir, "gatewright", "access.log") }

// appends writes to a file as Envoy and the runtime of containers do.
func (r *shipperRun) appends(path, text string) {
	r.t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// marked are the lines, each with another id, so that they are told from those before.
func (r *shipperRun) marked(as string) []string {
	var out []string
	for i, line := range r.lines {
		fields, err := objectOf(line)
		if err != nil {
			r.t.Fatal(err)
		}
		id, ok := fields["request_id"].(string)
		if !ok || strings.Count(line, id) != 1 {
			r.t.Fatalf("a line without an id of its own: %s", line)
		}
		out = append(out, strings.Replace(line, id, fmt.Sprintf("%s-%d", as, i), 1))
	}
	return out
}

// whole is lines as they stand in a file.
func whole(lines []string) string { return strings.Join(lines, "\n") + "\n" }

// wanted counts what is to be taken for lines, by what TestShippers says.
func (r *shipperRun) wanted(lines []string) map[string]int {
	r.t.Helper()
	out := map[string]int{}
	for _, line := range lines {
		doc, err := r.model(line)
		if err != nil || doc == nil {
			r.t.Fatalf("%+v is made of %s: %v", doc, line, err)
		}
		out[asOne(*doc)]++
	}
	return out
}

// asOne is a document in a form of its own: one of the log as it is, any other as its text.
func asOne(doc document) string {
	if doc.fields["request_id"] == nil {
		for _, name := range []string{"message", "log"} {
			if doc.fields[name] != nil {
				return fmt.Sprint("no line: ", doc.fields[name])
			}
		}
	}
	text, err := json.Marshal(doc.fields) // of JSON, and so it is JSON
	if err != nil {
		panic(err)
	}
	return string(text)
}

// arrives waits until all lines have, and no other has. Each is there at least once, and
// at most so many times.
func (r *shipperRun) arrives(lines []string, times int) {
	r.t.Helper()
	wants := r.wanted(lines)
	awaits(r.t, "all lines have arrived", func() error {
		r.sink.hasNoFault()
		taken, bulks, _ := r.sink.said()
		missing := maps.Clone(wants)
		for _, doc := range taken {
			text := asOne(doc)
			if wants[text] == 0 {
				r.t.Fatalf("what no line makes has arrived: %s", text)
			}
			delete(missing, text)
		}
		for text := range missing {
			return fmt.Errorf("%d of %d are missing after %d bulks with %d documents, as %s", len(missing), len(wants), bulks, len(taken), text)
		}
		return nil
	})
	taken, _, _ := r.sink.said()
	got := map[string]int{}
	for _, doc := range taken {
		got[asOne(doc)]++
	}
	for _, text := range slices.Sorted(maps.Keys(got)) {
		want := wants[text]
		if got[text] < want || got[text] > times*want {
			r.t.Errorf("%d times, want %d to %d: %s", got[text], want, times*want, text)
		}
	}
	r.sink.hasNoFault()
}

// shipsOnce: lines that were there before, that come while it runs, in two parts, and what
// is no line of the log.
func shipsOnce(t *testing.T, r *shipperRun) {
	before, after, last := r.marked("before"), r.marked("after"), r.marked("last")
	none := []string{"Segmentation fault", `{"time":"2026-11-28T18:00:00.123Z","half":`}
	r.appends(r.access(), whole(before))
	r.starts()
	r.arrives(before, 1)
	cut := len(after[0]) / 2
	r.appends(r.access(), after[0][:cut])
	r.appends(r.access(), after[0][cut:]+"\n"+whole(after[1:])+whole(none))
	all := slices.Concat(before, after, none)
	r.arrives(all, 1)
	// It ends and comes again, and does not begin anew.
	r.ends(syscall.SIGTERM)
	r.appends(r.access(), whole(last))
	r.starts()
	r.arrives(append(all, last...), 1)
}

// shipsContainers: what a runtime of containers writes of standard output is shipped as
// well, a line that it cuts in two as one, and nothing of standard error.
func shipsContainers(t *testing.T, r *shipperRun) {
	text := uncommented(r.config)
	first, last := strings.Index(text, r.input), strings.LastIndex(text, r.input)
	if first == last {
		t.Fatalf("%s has one input with its comments", r.file)
	}
	r.config = text[:first] + text[last:]
	pod := filepath.Join(r.dir, "pods", "0.log")
	if err := os.Symlink(pod, filepath.Join(r.dir, "containers", "gatewright-7d9f_default_envoy-0123456789abcdef.log")); err != nil {
		t.Fatal(err)
	}
	lines := r.marked("contained")
	const at = "2026-11-29T12:00:00.987654321Z"
	var written strings.Builder
	for i, line := range lines {
		fmt.Fprintf(&written, "%s stderr F [2026-11-29 12:00:00.987][1][info][main] this is no access log\n", at)
		if i%2 == 1 {
			fmt.Fprintf(&written, "%s stdout P %s\n", at, line[:len(line)/2])
			line = line[len(line)/2:]
		}
		fmt.Fprintf(&written, "%s stdout F %s\n", at, line)
	}
	r.appends(pod, written.String())
	r.starts()
	r.arrives(lines, 1)
}

// outlivesAbsence: what comes while Elasticsearch is away, or does not take anything, is
// there when it takes again. What it has taken without an answer may be there twice.
func outlivesAbsence(t *testing.T, r *shipperRun) {
	first, second, third := r.marked("first"), r.marked("second"), r.marked("third")
	r.appends(r.access(), whole(first))
	r.starts()
	r.arrives(first, 1)
	r.sink.goes()
	r.appends(r.access(), whole(second))
	awaits(t, "it finds nobody", r.findsNobody)
	r.sink.answers(answers503, answers429)
	r.sink.comes()
	r.arrives(slices.Concat(first, second), 1)
	r.sink.answers(hangsUp)
	r.appends(r.access(), whole(third))
	awaits(t, "the answer is lost", r.isInMood(0))
	r.arrives(slices.Concat(first, second, third), 2)
}

// outlivesItsEnd: what was read, and not taken, when the shipper was killed is sent by the
// next one.
func outlivesItsEnd(t *testing.T, r *shipperRun) {
	lines := r.marked("kept")
	r.sink.goes()
	r.appends(r.access(), whole(lines))
	r.starts()
	awaits(t, "it finds nobody", r.findsNobody)
	r.ends(syscall.SIGKILL)
	r.sink.comes()
	r.starts()
	r.arrives(lines, 2)
}

// outlivesRefusals: of a bulk of which some documents are refused as too many these are
// sent again.
func outlivesRefusals(t *testing.T, r *shipperRun) {
	if version, err := exec.Command(os.Getenv(r.variable), "--version").Output(); err == nil && strings.Contains(string(version), "Fluent Bit v5.1.1\n") {
		t.Skip("Fluent Bit 5.1.1 takes a bulk for sent if one of its documents was taken, and loses the others: deploy/logs/README.md says so")
	}
	lines := r.marked("refused")
	r.sink.answers(halfTaken)
	r.appends(r.access(), whole(lines))
	r.starts()
	times := 2
	if r.name == "filebeat" { // those alone
		times = 1
	}
	r.arrives(lines, times)
}

// findsNobody says whether the program has found nobody who takes what it sends.
func (r *shipperRun) findsNobody() error {
	if !strings.Contains(r.output.String(), r.fails) {
		return fmt.Errorf("it does not say %q", r.fails)
	}
	return nil
}

// isInMood says whether the sink has so many moods left.
func (r *shipperRun) isInMood(left int) func() error {
	return func() error {
		if _, bulks, moods := r.sink.said(); moods != left {
			return fmt.Errorf("after %d bulks %d answers are left", bulks, moods)
		}
		return nil
	}
}
