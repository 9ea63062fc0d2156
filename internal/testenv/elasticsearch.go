package testenv

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Elasticsearch is a real node of a test's own: Elasticsearch's server, without the
// modules that are no part of its library. It ends with the test.
type Elasticsearch struct {
	// URL is where it answers.
	URL string
}

// StartElasticsearch starts the one that scripts/elasticsearch has made, and returns when
// it can be written to. Where the variable ELASTICSEARCH does not say where that is, as in
// `make test`, the test is skipped.
func StartElasticsearch(t testing.TB) *Elasticsearch {
	t.Helper()
	made := os.Getenv("ELASTICSEARCH")
	if made == "" {
		t.Skip("no Elasticsearch: `make pipelines` runs this with one")
	}
	home := t.TempDir()
	for _, dir := range []string{"config", "data", "logs"} {
		if err := os.Mkdir(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(made, "plugins"), filepath.Join(home, "plugins")); err != nil {
		t.Fatal(err)
	}
	addr := Addr(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	output := &Output{}
	cmd := NoOrphan(exec.Command("java", "-Xmx512m", "-Dsun.net.httpserver.nodelay=true", "-cp", filepath.Join(made, "server")+":"+filepath.Join(made, "lib", "*"), "Server", home, port))
	cmd.Dir, cmd.Stdout, cmd.Stderr = home, output, output
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting Elasticsearch: %v", err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed, or it says why in its output
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
	})
	e := &Elasticsearch{URL: "http://" + addr}
	e.awaitGreen(t, exited, output)
	return e
}

// awaitGreen waits until it takes requests: a JVM is long in starting on a busy machine.
func (e *Elasticsearch) awaitGreen(t testing.TB, exited <-chan struct{}, output *Output) {
	t.Helper()
	deadline := time.After(3 * time.Minute)
	for {
		err := e.Do("GET", "/_cluster/health?wait_for_status=green&timeout=1s", "", nil)
		if err == nil {
			return
		}
		select {
		case <-exited:
			t.Fatalf("Elasticsearch has ended: %s", output)
		case <-deadline:
			t.Fatalf("Elasticsearch does not answer: %v; it says: %s", err, output)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Do makes a request, and decodes the answer into it where that is not nil. An answer of
// 400 and above is an error, which has its text.
func (e *Elasticsearch) Do(method, path, body string, answer any) error {
	request, err := http.NewRequest(method, e.URL+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
