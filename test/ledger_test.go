package test

// ledger says what becomes of each block of the documents, by the document, in the order
// of the blocks: see TestDocumentBlocks. Documents without a row show none.
var ledger = map[string][]use{
	"README.md": {
		picture,
		here(runs, twoCommands),
		by(runs, "test TestReadmeConfigIsValid"),
		here(runs, firstRoute),
	},
	"bench/check/README.md":    {here(parses, makes)}, // they take minutes
	"bench/control/README.md":  {here(parses, makes)},
	"bench/edge/README.md":     {here(parses, makes)},
	"bench/limits/README.md":   {here(parses, makes)},
	"bench/outcomes/README.md": {here(parses, makes)},
	"breakerpolicy/README.md":  {part(ofWhole)},
	"deploy/logs/README.md": {
		by(runs, "test TestPipelines").with("ELASTICSEARCH"),
		by(runs, "test TestFilebeat", "test TestFluentBit").with("FILEBEAT", "FLUENT_BIT"),
		by(runs, "test TestFilebeat", "test TestFluentBit").with("FILEBEAT", "FLUENT_BIT"),
	},
	"docs/access-log.md": {part(ofWhole)},
	"docs/acme.md":       {part(ofWhole)},
	"docs/attach.md":     {here(loads, filtersOfEnvoy)},
	"docs/backends.md":   {part(ofWhole), part(ofWhole), part(ofWhole), part(ofWhole), part(ofBackend)},
	"docs/breakers.md": {
		part(ofWhole), part(ofBackend), part(ofBackend), part(ofBackend), part(ofBackend),
		here(runs, breakerCommands),
	},
	"docs/canaries.md": {by(runs, "test TestCanaryDocument")},
	"docs/control-plane-tls.md": {
		by(runs, "test TestControlPlaneTLSDocument"),
		by(runs, "test TestControlPlaneTLSDocument").with("STEP"), // `make step` builds it
		by(runs, "test TestControlPlaneTLSDocument"),
		by(runs, "test TestControlPlaneTLSDocument"),
	},
	"docs/discovery.md": {part(ofWhole), part(ofWhole), here(loads, fileOfEndpoints)},
	"docs/edge.md":      {part(ofWhole), part(ofWhole), part(ofWhole), part(ofWhole)},
	"docs/envoyproxy-ratelimit.md": {
		here(runs, rateLimitFolder),
		here(runs, rateLimitServer),
	},
	"docs/grpc.md":     {part(ofWhole), here(sample, problemAnswer)},
	"docs/identity.md": {part(ofWhole), part(ofWhole)},
	"docs/keys.md": {
		here(runs, madeSecret),
		here(runs, importedKeys),
		here(runs, keysOverHTTP),
	},
	// With the server that `make cluster` builds they are run against it; without, as far as
	// the programs' own code goes: dry runs, kustomize, template.
	"docs/kubernetes.md": {
		by(parses, "deploy/internal/check TestPushLines", "deploy/internal/check TestDockerCommands"),
		by(loads, "deploy/internal/check TestClusterCommands").with("KUBE_APISERVER"),
		by(loads, "deploy/internal/check TestClusterCommands").with("KUBE_APISERVER"),
		by(loads, "deploy/internal/check TestClusterCommands").with("KUBE_APISERVER"),
	},
	"docs/limits.md": {part(ofWhole), eachLine(ofLimit), part(ofWhole), part(ofWhole), part(ofWhole)},
	"docs/meshes.md": {
		by(loads, "deploy/internal/check TestServiceOfMeshes"),
		by(loads, "deploy/internal/check TestEnvoyGatewayCommands").with("KUBE_APISERVER"),
	},
	"docs/metrics.md": {
		here(loads, query),
		part(ofWhole),
		output, // a sample with its exemplar
		part(ofWhole),
		here(runs, profiles),
		here(runs, logLevels),
	},
	"docs/migrate/aws-api-gateway.md": {by(runs, "test TestMigrationDocuments"), part(ofWhole)},
	"docs/migrate/kong.md":            {by(parses, "test TestKongDocument").with("KONG_PARSER"), part(ofWhole)},
	"docs/migrate/nginx.md":           {by(loads, "test TestMigrationDocuments"), part(ofWhole)},
	"docs/openapi.md":                 {here(runs, importedDocument), part(ofWhole, "orders.yaml", "api.yaml"), here(sample, problemAnswer)},
	"docs/placement.md":               {part(ofWhole), part(ofWhole), output, output}, // the second names a module
	"docs/plans.md":                   {part(ofWhole), here(runs, plansOfTenants)},
	"docs/protocols.md":               {part(ofWhole), part(ofWhole)},
	// What Docker is asked for is run by a real engine in `make engine`, and read by Docker's
	// own code in `make manifests`.
	"docs/quickstart.md": {
		here(runs, twoCommands),
		by(runs, "test TestCompose", "deploy/internal/check TestDockerCommands"),
		by(runs, "test TestCompose", "deploy/internal/engine TestSmallSet"),
		by(runs, "test TestCompose", "deploy/internal/check TestDockerCommands"),
		by(runs, "test TestCompose", "deploy/internal/engine TestFullSet"),
	},
	"docs/redis.md":      {by(runs, "ratelimit TestLeastRightsInACluster", "rollout TestLeastRights")},
	"docs/revocation.md": {here(runs, revokedTokens)},
	"docs/rollouts.md":   {by(runs, "test TestRolloutDocument"), by(runs, "test TestRolloutDocument"), by(runs, "test TestRolloutDocument")},
	"docs/routes.md":     {part(ofRoutes, "backend: orders", "backend: calls"), part(ofClosedRoute), part(ofClosedRoute), part(ofRoute)},
	"docs/tls.md": {
		part(ofWhole), part(ofWhole),
		and("auth", "  jwt: {main: {issuer: https://id.example.com/, audiences: [api], jwks: {discover: true}}}\n"),
		part(ofWhole, "certs/gateway.", "certs/client."),
	},
	"docs/tracing.md":     {part(ofWhole), part(ofTracedRoute), part(ofWhole), part(ofWhole)},
	"docs/transform.md":   {part(ofWhole), part(ofWhole), part(ofWhole), part(ofWhole), part(ofWhole)},
	"ratelimit/README.md": {part(ofWhole), here(loads, filterOfRateLimits)},
}

var (
	picture = use{proof: sample}
	output  = use{proof: sample}
)
