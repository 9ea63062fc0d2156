package check

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startCluster starts a Kubernetes API server on an etcd of its own, and returns the file
// by which kubectl and Helm find it: as much of a cluster as takes objects and judges
// them, without anything that runs them. It is empty where KUBE_APISERVER does not say
// where that program is; `make cluster` makes it.
func startCluster(t *testing.T) (kubeconfig string) {
	t.Helper()
	program := os.Getenv("KUBE_APISERVER")
	if program == "" {
		return ""
	}
	found, err := exec.Command(filepath.Join(root, "scripts", "etcd")).Output()
	if err != nil {
		t.Fatalf("etcd: %v", err)
	}
	dir, client, peer, api := t.TempDir(), "http://"+free(t), "http://"+free(t), free(t)
	start(t, strings.TrimSpace(string(found)), "--data-dir", filepath.Join(dir, "etcd"),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	key, tokens := filepath.Join(dir, "key.pem"), filepath.Join(dir, "tokens.csv")
	write(t, key, privateKey(t))
	write(t, tokens, []byte("sesame,admin,admin,system:masters\n"))
	_, port, _ := net.SplitHostPort(api)
	start(t, program, "--etcd-servers", client, "--bind-address", "127.0.0.1", "--secure-port", port, "--cert-dir", filepath.Join(dir, "certificates"),
		"--service-account-issuer", "https://"+api, "--service-account-key-file", key, "--service-account-signing-key-file", key,
		"--token-auth-file", tokens, "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.0.0.0/24")
	waitReady(t, "https://"+api+"/readyz")
	kubeconfig = filepath.Join(dir, "kubeconfig")
	write(t, kubeconfig, fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c,
  clusters: [{name: c, cluster: {server: "https://%s", insecure-skip-tls-verify: true}}],
  users: [{name: c, user: {token: sesame}}], contexts: [{name: c, context: {cluster: c, user: c}}]}`, api))
	return kubeconfig
}

func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func privateKey(t *testing.T) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

// start starts a server, which is ended with the test.
func start(t *testing.T, program string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", program, out.Bytes()[max(0, out.Len()-3000):])
		}
	})
}

func waitReady(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // its certificate is of its own making
	last := "no answer"
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer sesame")
		answer, err := client.Do(r)
		if err != nil {
			last = err.Error()
			continue
		}
		answer.Body.Close()
		if last = answer.Status; answer.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatalf("the API server is not ready: %s", last)
}
