package engine

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	// goImage is what the Dockerfile compiles in.
	goImage = "golang:1.26-bookworm"
	// readerImage is BuildKit's own reader of Dockerfiles, which the first line of ours
	// asks for.
	readerImage = "docker/dockerfile:1"
	// envoyImage is what the image with an Envoy begins with.
	envoyImage = "envoyproxy/envoy:distroless-v1.40.0"
)

// standIns are the images that the Dockerfile and docker-compose.yaml have from a
// registry, and the one that `docker buildx create` makes a builder of. Owners and modes
// of folders are those of the images that they stand in for: new volumes take them over.
// Their programs are the versions of this machine.
func standIns(t *testing.T) []standIn {
	return []standIn{
		{
			name:     readerImage,
			programs: map[string]string{"/bin/dockerfile-frontend": filepath.Join(programs(), "dockerfile-frontend")},
			config:   []string{`ENTRYPOINT ["/bin/dockerfile-frontend"]`, `LABEL moby.buildkit.frontend.network.none=true`},
		},
		{
			name: "moby/buildkit:buildx-stable-1",
			programs: map[string]string{"/usr/bin/buildkitd": filepath.Join(programs(), "buildkitd"), "/usr/bin/buildctl": filepath.Join(programs(), "buildctl"),
				"/usr/bin/runc": "runc"},
			files:   map[string]string{"/etc/ssl/certs/ca-certificates.crt": content(t, "/etc/ssl/certs/ca-certificates.crt")},
			folders: []folder{{path: "/tmp", mode: 0o1777}},
			config:  []string{"VOLUME /var/lib/buildkit", `ENTRYPOINT ["buildkitd"]`},
		},
		{
			name:    goImage,
			busybox: true,
			trees:   map[string]string{"/usr/local/go": said(t, "go", "env", "GOROOT")},
			files:   map[string]string{"/etc/ssl/certs/ca-certificates.crt": content(t, "/etc/ssl/certs/ca-certificates.crt")},
			folders: []folder{{path: "/tmp", mode: 0o1777}, {path: "/go", mode: 0o1777}},
			config: []string{"ENV PATH=/usr/local/go/bin:/usr/bin:/bin GOPATH=/go GOTOOLCHAIN=local",
				"ENV GOPROXY=http://" + modules + " GOSUMDB=off"}, // go.sum has been held against that already
		},
		{
			name:     envoyImage,
			programs: map[string]string{"/usr/local/bin/envoy": said(t, root+"/scripts/envoy")},
			files:    map[string]string{"/etc/ssl/certs/ca-certificates.crt": content(t, "/etc/ssl/certs/ca-certificates.crt")},
			folders:  []folder{{path: "/tmp", mode: 0o1777}},
			config:   []string{"USER 65532:65532", `ENTRYPOINT ["/usr/local/bin/envoy"]`},
		},
		{
			name:     "redis:8.2-alpine",
			busybox:  true,
			programs: map[string]string{"/usr/local/bin/redis-server": "redis-server", "/usr/local/bin/redis-cli": "redis-cli"},
			folders:  []folder{{path: "/data", uid: 999, gid: 1000, mode: 0o755}},
			config:   []string{"WORKDIR /data", "VOLUME /data"},
		},
		postgres(t),
		{
			name:     "prom/prometheus:v3.6.0",
			busybox:  true,
			programs: map[string]string{"/bin/prometheus": "prometheus"},
			folders:  []folder{{path: "/prometheus", uid: 65534, gid: 65534, mode: 0o755}, {path: "/tmp", mode: 0o1777}},
			config:   []string{"USER 65534", "WORKDIR /prometheus", "VOLUME /prometheus", `ENTRYPOINT ["/bin/prometheus"]`},
		},
		grafana(t),
		{
			name:     "otel/opentelemetry-collector-contrib:0.165.0",
			programs: map[string]string{"/otelcol-contrib": filepath.Join(programs(), "collector")},
			config:   []string{"USER 10001:10001", `ENTRYPOINT ["/otelcol-contrib"]`, `CMD ["--config", "/etc/otelcol-contrib/config.yaml"]`},
		},
		{
			name:     "jaegertracing/jaeger:2.13.0",
			busybox:  true,
			programs: map[string]string{"/bin/otlpsink": filepath.Join(programs(), "otlpsink")},
			files:    map[string]string{"/run.sh": content(t, "testdata/jaeger.sh"), "/srv/status": "ok\n"},
			config:   []string{"USER 10001", `ENTRYPOINT ["/run.sh"]`},
		},
	}
}

func postgres(t *testing.T) standIn {
	t.Helper()
	bin := said(t, root+"/scripts/postgres")
	// Debian's programs look for the rest of theirs beside where they are.
	real, err := filepath.EvalSymlinks(filepath.Join(bin, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	bin = filepath.Dir(real)
	version := filepath.Base(filepath.Dir(bin))
	i := standIn{
		name:     "postgres:17.6-alpine",
		busybox:  true,
		programs: map[string]string{},
		trees:    map[string]string{"/usr/share/postgresql/" + version: "/usr/share/postgresql/" + version, "/usr/lib/locale/C.utf8": "/usr/lib/locale/C.utf8"},
		files: map[string]string{
			"/usr/local/bin/docker-entrypoint.sh": content(t, "testdata/postgres-entrypoint.sh"),
			"/etc/passwd":                         "root:x:0:0::/:/bin/sh\npostgres:x:70:70::/var/lib/postgresql:/bin/sh\n",
		},
		folders: []folder{{path: "/tmp", mode: 0o1777}, {path: "/var/lib/postgresql", uid: 70, gid: 70, mode: 0o1777},
			{path: "/var/lib/postgresql/data", uid: 70, gid: 70, mode: 0o1777}, {path: "/var/run/postgresql", uid: 70, gid: 70, mode: 0o3777}},
		config: []string{"ENV PATH=" + bin + ":/usr/local/bin:/usr/bin:/bin PGDATA=/var/lib/postgresql/data LANG=C.UTF-8",
			`ENTRYPOINT ["docker-entrypoint.sh"]`, `CMD ["postgres"]`, "VOLUME /var/lib/postgresql/data"},
	}
	for _, name := range []string{"postgres", "initdb", "pg_isready"} {
		i.programs[filepath.Join(bin, name)] = filepath.Join(bin, name)
	}
	for _, name := range []string{"plpgsql.so", "dict_snowball.so"} { // what initdb loads
		lib := filepath.Join(filepath.Dir(bin), "lib", name)
		i.programs[lib] = lib
	}
	return i
}

// said is what a command of this machine prints.
func said(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return strings.TrimSpace(string(out))
}

func content(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
