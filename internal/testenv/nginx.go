package testenv

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Nginx is a real nginx of a test's own, in one process, which answers each
// request with what it has read of it. It ends with the test.
type Nginx struct {
	// Addr is where it listens.
	Addr string

	log string
}

// nginxConfig has a line in the log for everything that nginx takes for a
// request, also for what it refuses.
const nginxConfig = `
daemon off;
master_process off;
pid %[1]s/pid;
error_log %[1]s/error.log;
events {}
http {
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  log_format line '$request';
  access_log %[1]s/access.log line;
  keepalive_requests 100000;
  server {
    listen %[2]s;
    default_type text/plain;
    location / { return 200 "$request_method $request_uri"; }
  }
}
`

// NginxProgram is the path of nginx. Without one the test is skipped, or fails, as
// Envoy says.
func NginxProgram(t testing.TB) string {
	t.Helper()
	program, err := nginxProgram()
	if err != nil {
		missing(t, "no nginx found: apt-get install nginx-light, or run `make test`")
	}
	return program
}

// StartNginx starts one, and returns when it answers. Without an nginx the test
// is skipped, or fails, as Envoy says.
func StartNginx(t testing.TB) *Nginx {
	t.Helper()
	program := NginxProgram(t)
	dir := t.TempDir()
	n := &Nginx{Addr: Addr(t), log: filepath.Join(dir, "access.log")}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, nginxConfig, dir, n.Addr), 0o600); err != nil {
		t.Fatal(err)
	}
	output := &Output{}
	cmd := NoOrphan(exec.Command(program, "-c", file, "-p", dir, "-e", filepath.Join(dir, "error.log")))
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()
	})
	Eventually(t, "nginx answers", func() error {
		resp, err := http.Get("http://" + n.Addr + "/ready")
		if err != nil {
			return fmt.Errorf("%w; it says: %s", err, output)
		}
		return resp.Body.Close()
	})
	return n
}

// nginxProgram finds an nginx. Debian keeps it off the PATH of users.
func nginxProgram() (string, error) {
	if path, err := exec.LookPath("nginx"); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/nginx")
}

// Requests are the request lines that it has read so far, as it read them.
func (n *Nginx) Requests(t testing.TB) string {
	t.Helper()
	log, err := os.ReadFile(n.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}
