package test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gatewright/gatewright/"

// mayImport says which packages of ours each one may import; all of the
// repository is here. Arrows go one way, and siblings do not know each other.
var mayImport = map[string][]string{
	"config":                    {"internal/jsontemplate", "internal/openapi", "internal/pki", "internal/rule", "internal/transcoding"},
	"config/internal/schemagen": {"config"},
	"routing":                   {"config"},
	"authz":                     {"config", "internal/inline", "internal/openapi", "internal/pki", "internal/rule", "internal/span", "internal/split", "internal/wholefile", "internal/wire"},
	"keys":                      {"config", "internal/inline", "internal/redisclient", "internal/span", "internal/wholefile"},
	"store":                     {"config", "internal/consul"},
	"ratelimit":                 {"config", "internal/inline", "internal/limitfiles", "internal/redisclient", "internal/span", "internal/wire"},
	"breakerpolicy":             {"config", "internal/outcome", "internal/redisclient"},
	"rollout":                   {"config", "internal/outcome", "internal/redisclient", "internal/wholefile"},
	"xds":                       {"config", "internal/bodies", "internal/laxjson", "internal/rule", "internal/split"},
	"envoy":                     {},
	"console":                   {"breakerpolicy", "config", "keys", "rollout"},
	"internal/door":             {"internal/unary"},
	"internal/heap":             {},
	"internal/health":           {},
	"internal/importer":         {"config", "internal/openapi"},
	"internal/inline":           {},
	"internal/jsontemplate":     {},
	"internal/laxjson":          {},
	"internal/limitfiles":       {"config"},
	"internal/limitxds":         {"config", "internal/limitfiles", "internal/pki", "internal/wholefile"},
	"internal/openapi":          {},
	"internal/outcome":          {"internal/wire"},
	"internal/diff":             {"config", "authz", "internal/openapi", "internal/transcoding", "routing"},
	"internal/explain":          {"config", "authz", "internal/split", "routing", "xds"},
	"internal/acme":             {"config", "internal/pki", "internal/wholefile"},
	"internal/bodies":           {"internal/jsontemplate"},
	"internal/certs":            {"config", "internal/pki"},
	"internal/pki":              {},
	"internal/redisclient":      {},
	"internal/rule":             {},
	"internal/span":             {},
	"internal/split":            {"config"},
	"internal/telemetry":        {},
	"internal/tokentest":        {"config"},
	"internal/tracing":          {"config", "internal/inline", "internal/outcome", "internal/pki", "internal/span"},
	"internal/transcoding":      {},
	"internal/unary":            {"internal/inline"},
	"internal/wholefile":        {},
	"internal/wire":             {},
	"internal/consul":           {},
	"internal/discovery":        {"config", "internal/consul", "internal/wholefile"},
	"internal/demo":             {},
	"internal/testenv":          {"envoy"},
	"internal/plan":             {"config", "authz", "breakerpolicy", "xds"},
	"internal/floods":           {},
	"examples/quickstart":       {"config", "internal/demo"},
	"examples/demo":             {"internal/demo"},
	"deploy/compose/firststart": {"internal/health"},
	"cmd/gatewright": {
		"config", "authz", "breakerpolicy", "keys", "ratelimit", "rollout", "routing", "store", "xds", "envoy", "console",
		"internal/acme", "internal/bodies", "internal/certs", "internal/diff", "internal/discovery", "internal/door", "internal/explain", "internal/health", "internal/heap", "internal/importer", "internal/limitfiles", "internal/limitxds", "internal/openapi", "internal/outcome", "internal/pki", "internal/plan", "internal/telemetry", "internal/tracing", "internal/wholefile",
	},
	"test": {},
	"bench/check": {
		"config", "authz", "keys", "bench/internal/rig", "internal/door", "internal/heap", "internal/telemetry",
	},
	"bench/internal/rig": {"internal/testenv"},
	"bench/edge":         {"config", "bench/internal/rig", "internal/testenv"},
	"bench/outcomes":     {"bench/internal/rig"},
	"bench/quic":         {"bench/internal/rig"},
	"bench/floods":       {"bench/internal/rig", "internal/floods", "internal/testenv"},
	"bench/overload":     {"bench/internal/rig", "internal/testenv"},
	"bench/limits":       {"config", "authz", "ratelimit", "bench/internal/rig", "internal/testenv"},
	"bench/control": {
		"config", "bench/internal/rig", "envoy", "xds", "internal/outcome", "internal/plan", "internal/testenv",
	},
}

func TestImportsGoOneWay(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], module)
		allowed, known := mayImport[pkg]
		if !known {
			t.Errorf("package %s is not in the table: say what it may import", pkg)
		}
		for _, imported := range fields[1:] {
			if ours, ok := strings.CutPrefix(imported, module); ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s must not import %s", pkg, ours)
			}
		}
	}
}

// TestModelKnowsNoTransport: the model must stay usable without Envoy, Redis,
// etcd and gRPC.
func TestModelKnowsNoTransport(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", module+"config").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, foreign := range []string{"envoyproxy", "redis", "etcd", "google.golang.org/grpc"} {
		if strings.Contains(string(out), foreign) {
			t.Errorf("config depends on %s", foreign)
		}
	}
}
