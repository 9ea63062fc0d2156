package testenv

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Prometheus is a real Prometheus of a test's own. It ends with the test.
type Prometheus struct {
	addr string
}

// StartPrometheus starts one with a config, and further arguments, and returns when it answers. Without
// a prometheus on PATH the test is skipped, or fails, as Envoy says.
func StartPrometheus(t testing.TB, config string, args ...string) *Prometheus {
	t.Helper()
	return StartPrometheusAt(t, Addr(t), config, args...)
}

// StartPrometheusAt is StartPrometheus at an address that others are told before.
func StartPrometheusAt(t testing.TB, addr, config string, args ...string) *Prometheus {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		missing(t, "no prometheus found: apt-get install prometheus, or run `make test`")
	}
	dir := t.TempDir()
	p := &Prometheus{addr: addr}
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	output := &Output{}
	cmd := NoOrphan(exec.Command(program, append(args, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+p.addr)...))
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, output, output
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()
	})
	Eventually(t, "prometheus is ready", func() error {
		resp, err := http.Get("http://" + p.addr + "/-/ready")
		if err != nil {
			return fmt.Errorf("%w; it says: %s", err, output)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s; it says: %s", resp.Status, output)
		}
		return nil
	})
	return p
}

// Sample is one time series of the answer to a query, and its value now.
type Sample struct {
	Labels map[string]string
	// Value is a number in Prometheus' notation, which may be NaN.
	Value string
}

// Query is what an expression comes to now.
func (p *Prometheus) Query(expr string) ([]Sample, error) {
	resp, err := http.Get("http://" + p.addr + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", expr, resp.Status, err)
	}
	if answer.Error != "" {
		return nil, fmt.Errorf("%s: %s", expr, answer.Error)
	}
	var out []Sample
	for _, r := range answer.Data.Result {
		out = append(out, Sample{r.Metric, fmt.Sprint(r.Value[1])})
	}
	return out, nil
}
