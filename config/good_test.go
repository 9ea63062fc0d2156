package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/jsontemplate"
	"github.com/gatewright/gatewright/internal/transcoding"
)

// TestGoodFiles loads each file of testdata/good: what is just inside a rule.
func TestGoodFiles(t *testing.T) {
	for _, file := range append(glob(t, "testdata/good/*.yaml"), "testdata/example_supported.yaml") {
		if _, err := Load(file); err != nil {
			t.Errorf("%s:\n%v", file, err)
		}
	}
}

func TestDecodeEveryField(t *testing.T) {
	got, err := Load("testdata/good/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	weight := func(n int) *int { return &n }
	percent := func(n float64) *float64 { return &n }
	ms := func(n int) Duration { return Duration(time.Duration(n) * time.Millisecond) }
	want := &Config{
		Listeners: []*Listener{
			{Name: "public", Address: "[::]:8080", RateLimit: RateLimitFilter, TrustedHops: weight(16), Trailers: true, ForwardExpect: true},
			{Name: "balanced", Address: "[::]:8081", Placement: PlacementService, TrustedProxies: []string{}, ProxyProtocol: &ProxyProtocol{From: []string{"10.0.0.0/8"}, Optional: true}},
			{Name: "bounded", Address: "[::]:8082", Bounds: &Bounds{
				MaxHeaderBytes: 8192, MaxHeaders: 50, MaxBodyBytes: 1 << 20, HeadersTimeout: ms(5000), RequestTimeout: ms(60_000), IdleTimeout: ms(120_000),
				StreamIdleTimeout: ms(30_000), MaxStreams: 20, MaxConnections: 1000, MaxRequestsPerConnection: 10_000, MaxConnectionDuration: ms(3_600_000),
			}},
			{Name: "secure", Address: "[::]:8443", TLS: &ListenerTLS{
				Certificates: []*Certificate{
					{Name: "../certs/edge.crt", Cert: "testdata/certs/edge.crt", Key: "testdata/certs/edge.key"},
					{Name: "../certs/shop.crt", Cert: "testdata/certs/shop.crt", Key: "testdata/certs/shop.key"},
				},
				ClientCA: "testdata/certs/partners-ca.crt", ClientCRL: "testdata/certs/partners.crl", ClientCertificate: ClientCertificateRequired,
				ForwardClientCertificate: true, MinVersion: "1.3", Curves: []string{"X25519", "P-256"}, SessionTickets: new(bool),
				HSTS: &HSTS{MaxAge: new(ms(63_072_000_000)), IncludeSubDomains: true, Preload: true},
			}, HTTP3: true, HTTP3Port: 443},
			{Name: "old", Address: "[::]:8444", TLS: &ListenerTLS{
				Certificates: []*Certificate{{Name: "../certs/edge.crt", Cert: "testdata/certs/edge.crt", Key: "testdata/certs/edge.key"}},
				CipherSuites: []string{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"}, HSTS: &HSTS{},
			}},
			{Name: "issued", Address: "[::]:8445", TLS: &ListenerTLS{ACME: &ACME{
				Domains: []string{"api.example.com", "xn--bcher-kva.example"}, AgreeTermsOfService: true, Email: "ops@example.com",
				Directory: "https://ca.internal:9000/acme/directory", CA: "testdata/certs/partners-ca.crt", Challenge: ChallengeTLS,
				RenewBefore: Duration(240 * time.Hour), ExternalAccountBinding: &ExternalAccountBinding{KeyID: "kid-1", KeyEnv: "TOKEN_SECRET_32"},
			}}},
			{Name: "web", Address: "[::]:8083", RedirectToHTTPS: &HTTPSRedirect{}},
			{Name: "moved", Address: "[::]:8084", RedirectToHTTPS: &HTTPSRedirect{Port: 8443, Status: 307, ACMEChallenges: "chat"}},
		},
		TrustedProxies: []string{"10.0.0.0/8", "2001:db8::/32", "192.0.2.7"},
		Backends: map[string]*Backend{
			"users-v1": {
				Name: "users-v1", Endpoints: []*Endpoint{{Address: "10.0.0.5:9000"}, {Address: "[2001:db8::1]:9000"}},
				Protocol: ProtocolHTTP2, LoadBalancing: &LoadBalancing{Policy: Random},
				HealthCheck: &HealthCheck{Path: "/healthz?deep=1", Interval: ms(10_000), Timeout: ms(1500), UnhealthyAfter: 4, HealthyAfter: 1},
				Connections: &Connections{Max: 10, MaxPending: 20, MaxRequests: 30, MaxRetries: 40},
				OutlierDetection: &OutlierDetection{
					Consecutive5xx: 7, ConsecutiveGatewayErrors: 3, ConsecutiveLocalErrors: 2,
					FailurePercentage: &FailurePercentage{Threshold: 60, MinEndpoints: 3, MinRequests: 20},
					SuccessRate:       &SuccessRate{Deviations: 2.5, MinEndpoints: 4, MinRequests: 40},
					Interval:          ms(60_000), BaseEjectionTime: ms(5_400_000), MaxEjectionTime: ms(7_200_000), Jitter: ms(10_000), MaxEjectionPercent: 50,
				},
				PanicThreshold: new(30),
				Breaker: &Breaker{
					ErrorRate: percent(0), Window: ms(60_000), MinRequests: 5, OpenFor: ms(2000), Backoff: &BreakerBackoff{Factor: percent(1.5), Max: ms(60_000), Jitter: 0.1},
					Per: PerRoute, Probes: 3, ProbeLease: ms(5000), Ramp: ms(30_000),
					Failures: BreakerFailures{
						Status: []StatusRange{{429, 429}, {500, 599}}, GRPCStatus: []GRPCStatus{"internal"},
						ConnectFailure: new(bool), Reset: new(bool), Timeout: new(bool), SlowerThan: ms(2000),
					},
					Fallback: &BreakerFallback{Respond: &Respond{Status: 200, Body: "[]", Headers: map[string]string{"Content-Type": "application/json"}}},
					Mode:     ModeEnforce,
					Webhook:  &Webhook{URL: "http://hooks.internal/breakers", AuthorizationEnv: "PATH", PlainHTTP: true},
				},
			},
			"chat": {Name: "chat", Endpoints: []*Endpoint{{Address: "10.0.0.6:9000"}}, Trailers: true, Connections: &Connections{RetryBudget: &RetryBudget{Percent: percent(12.5), MinConcurrent: 5, Interval: ms(1000)}}, Breaker: &Breaker{Fallback: &BreakerFallback{Backend: "users-v1"}}},
			"zoned": {
				Name: "zoned", Endpoints: []*Endpoint{{Address: "10.0.1.1:9000", Weight: 3, Zone: "eu-1a"}, {Address: "10.0.2.1:9000", Zone: "eu-1b", Priority: 1}},
				LoadBalancing: &LoadBalancing{
					Policy: LeastRequest, SlowStart: &SlowStart{Window: ms(30_000), Aggression: 1.5, MinPercent: 20}, Choices: 4, ActiveRequestBias: percent(0.5),
					ZoneWeights: map[string]int{"eu-1a": 3}, Overprovisioning: 120,
				},
				HealthCheck: &HealthCheck{
					Path: "/", Host: "zoned.internal", Headers: map[string]string{"X-Probe": "gateway"}, Expect: []HealthyStatus{{204, 204}, {200, 299}},
					Jitter: ms(1000), UnhealthyInterval: ms(2000), EdgeInterval: ms(500), IdleInterval: ms(10_000), Port: 9001,
				},
				Connections: &Connections{
					ConnectTimeout: ms(500), IdleTimeout: ms(50_000), MaxLifetime: ms(3_600_000), MaxRequestsPerConnection: 1000, Preconnect: 1.5, BufferBytes: 65536,
					SourceAddress: "10.0.0.1", TCPKeepalive: &TCPKeepalive{Time: ms(30_000), Interval: ms(10_000), Probes: 3},
				},
			},
			"ring": {
				Name: "ring", Endpoints: []*Endpoint{{Address: "10.0.3.1:9000"}}, Protocol: ProtocolGRPC,
				LoadBalancing: &LoadBalancing{
					Policy: RingHash, Hash: []HashPart{"header:X-User-ID", "cookie:session", "query:room", "clientIP"}, MinRingSize: 2048, MaxRingSize: 4096, HashFunction: Murmur2, MaxLoad: 150,
				},
				HealthCheck: &HealthCheck{GRPC: &GRPCHealthCheck{Service: "shop.v1.Orders", Authority: "orders.internal"}},
				Connections: &Connections{HTTP2: &BackendHTTP2{MaxConcurrentStreams: 200, StreamWindow: 131072, ConnectionWindow: 2097152, PingInterval: ms(10_000), PingTimeout: ms(2000)}},
			},
			"table": {
				Name: "table", Endpoints: []*Endpoint{{Address: "10.0.4.1:9000"}}, LoadBalancing: &LoadBalancing{Policy: Maglev, TableSize: 251},
				HealthCheck: &HealthCheck{TCP: &TCPHealthCheck{Send: "PING\r\n", Receive: "PONG"}},
			},
			"kept": {
				Name: "kept", Endpoints: []*Endpoint{{Address: "10.0.5.1:9000"}},
				SessionAffinity: &SessionAffinity{Cookie: "server", TTL: ms(3_600_000), Path: "/shop", Secure: new(bool), HTTPOnly: new(bool), SameSite: SameSiteStrict},
			},
			"filed": {Name: "filed", Discovery: &Discovery{File: "testdata/good/endpoints.yaml"}, ProxyProtocol: ProxyProtocolV2},
			"recorded": {Name: "recorded", Discovery: &Discovery{SRV: &SRVRecords{
				Name: "_http._tcp.users.internal", Resolvers: []string{"10.0.0.53:53"}, Refresh: ms(10_000), Addresses: DNSBoth, Zone: "eu-1a", AllowEmpty: true,
			}}},
			"catalogued": {Name: "catalogued", Discovery: &Discovery{Consul: &ConsulService{
				Service: "users", Tags: []string{"v2"}, Datacenter: "east", Filter: "Service.Port == 80", OnlyPassing: true, ZoneMeta: "az", AllowEmpty: true,
			}}},
			"named": {
				Name: "named", Endpoints: []*Endpoint{{Address: "app.internal:80"}},
				DNS: &DNS{
					Mode: DNSLogical, Refresh: ms(10_000), RespectTTL: true, FailureRefresh: ms(1000), Jitter: ms(2000), Addresses: DNSBoth,
					Resolvers: []string{"10.0.0.53:53"}, TCP: true, QueryTimeout: ms(2000), Tries: 2,
				},
			},
			"busy": {
				Name: "busy", Endpoints: []*Endpoint{{Address: "10.0.0.7:9000"}},
				AdaptiveConcurrency: &AdaptiveConcurrency{
					Max: 200, Min: 5, Percentile: 95.5, Interval: ms(200), MeasureEvery: ms(120_000), MeasureRequests: 30, Tolerance: percent(10),
				},
			},
			"users-v2": {Name: "users-v2", Endpoints: []*Endpoint{{Address: "Users_v2.internal.:9000"}}, Protocol: ProtocolGRPC, LoadBalancing: &LoadBalancing{Policy: RoundRobin}, TLS: &BackendTLS{
				CA: "testdata/certs/internal-ca.crt", ServerName: "users.internal", MinVersion: "1.3",
				Certificate: &Certificate{Name: "../certs/client.crt", Cert: "testdata/certs/client.crt", Key: "testdata/certs/client.key"},
			}},
		},
		Auth: Providers{
			JWT: map[string]*JWT{
				"main": {
					Name: "main", Issuer: "https://id.example.com/", Audiences: []string{"api", "web"}, Algorithms: []string{"PS256", "EdDSA"},
					JWKS: JWKS{URL: "https://id.example.com:8443/jwks.json?v=1"}, TokenType: "at+jwt", CertificateBound: true, RolesClaim: "groups", PlanClaim: "plan", ClockSkew: ms(300_000),
					Forward: map[string]string{"sub": "X-User-ID", "role": "X-User-Role"}, ForwardCredential: true,
				},
				"discovered": {Name: "discovered", Issuer: "http://id.internal/realm", Audiences: []string{"api"}, JWKS: JWKS{Discover: true, KeyHost: "keys.internal:8080", PlainHTTP: true, MaxStale: ms(86_400_000)}},
				"file":       {Name: "file", Issuer: "file", Audiences: []string{"api"}, JWKS: JWKS{File: "testdata/good/keys.json"}},
				"shared":     {Name: "shared", Issuer: "shared", Audiences: []string{"api"}, Algorithms: []string{"HS256"}, SecretEnv: "TOKEN_SECRET_32", PreviousSecretEnv: "TOKEN_SECRET_47"},
				"inline":     {Name: "inline", Issuer: "inline", Audiences: []string{"api"}, JWKS: JWKS{Inline: "{\"keys\": [{\"kty\": \"OKP\"}]}\n"}},
			},
			APIKey: map[string]*APIKey{
				"header": {Name: "header", From: KeySource{Header: "X-Partner-Key"}, Forward: map[string]string{"id": "X-Key-ID", "tenant": "X-Tenant-ID", "owner": "X-User-ID"}},
				"query":  {Name: "query", From: KeySource{Query: "api_key"}, ForwardCredential: true},
			},
			Introspection: map[string]*Introspection{
				"legacy": {
					Name: "legacy", URL: "https://id.example.com/introspect", ClientID: "gateway", ClientSecretEnv: "PATH",
					CA: "testdata/good/ca.pem", Timeout: ms(500), Cache: IntrospectionCache{MaxAge: ms(60_000), Entries: 100},
					Issuer: "https://id.example.com/", Audiences: []string{"api"}, ClockSkew: ms(1000), PlanClaim: "tier",
					Forward: map[string]string{"sub": "X-User-ID"}, ForwardCredential: true,
				},
				"plain": {
					Name: "plain", URL: "http://id.internal/introspect", ClientID: "gateway", ClientSecretEnv: "PATH",
					PlainHTTP: true, Cache: IntrospectionCache{Off: true},
				},
			},
			ClientCertificate: map[string]*ClientCertificate{
				"workloads": {
					Name: "workloads", URIs: []string{"spiffe://example.org/ns/*/sa/billing", "spiffe://example.org/batch/**"}, Tenant: PartTrustDomain,
					Forward: map[string]string{"uri": "X-Workload", "fingerprint": "X-Fingerprint"},
				},
				"partners": {
					Name: "partners", DNSNames: []string{"*.partners.example.com"}, Emails: []string{"*@example.com"},
					CommonNames: []string{"Billing", "Müller & Söhne"}, Organizations: []string{"Example"},
					User: PartCommonName, Tenants: map[string]string{"Billing": "acme"},
				},
			},
		},
		Limits: map[string]*Limit{
			"per-user": {
				Name: "per-user", Key: []KeyPart{KeyUser, KeyTenant, KeyClientIP, KeyRoute, "header:X-Plan"},
				TokenBucket: &TokenBucket{Capacity: 20, Refill: Rate{600, time.Minute}}, Consistency: Exact, OnStoreFailure: FailDeny,
			},
			"per-plan": {Name: "per-plan", Key: []KeyPart{"claim:plan"}, TokenBucket: &TokenBucket{Capacity: 1, Refill: Rate{1, 24 * time.Hour}}, Consistency: Sync, OnStoreFailure: FailAllow},
			"per-key": {Name: "per-key", Key: []KeyPart{KeyAPIKey, KeyClientIP}, TokenBucket: &TokenBucket{Capacity: 5, Refill: Rate{5, time.Hour}},
				Plans: map[string]*LimitPlan{"gold": {TokenBucket: &TokenBucket{Capacity: 500, Refill: Rate{100, time.Second}}}}},
			"per-stranger": {Name: "per-stranger", Key: []KeyPart{KeyClientIP}, TokenBucket: &TokenBucket{Capacity: 5, Refill: Rate{5, time.Hour}}, Consistency: Lease},
			"searches": {
				Name: "searches", Consistency: Sync, Key: []KeyPart{KeyTenant}, SlidingWindow: &SlidingWindow{1000, ms(60_000)},
				Plans: map[string]*LimitPlan{"gold": {SlidingWindow: &SlidingWindow{5000, ms(60_000)}}},
			},
			"logins": {
				Name: "logins", Key: []KeyPart{KeyUser}, SlidingLog: &SlidingWindow{10, ms(3_600_000)},
				Plans: map[string]*LimitPlan{"staff": {SlidingLog: &SlidingWindow{100, ms(3_600_000)}}},
			},
			"calls": {
				Name: "calls", Consistency: Lease, Key: []KeyPart{KeyUser}, FixedWindow: &SlidingWindow{100, ms(60_000)},
				Plans: map[string]*LimitPlan{"gold": {FixedWindow: &SlidingWindow{200, ms(60_000)}}},
			},
			"exports": {
				Name: "exports", Consistency: Lease, Key: []KeyPart{KeyTenant}, Quota: &Quota{1000, PerMonth, "Europe/Vienna"},
				Plans: map[string]*LimitPlan{"gold": {Quota: &Quota{maxExact, PerMonth, "Europe/Vienna"}}},
			},
			"uploads": {
				Name: "uploads", Key: []KeyPart{KeyUser}, Concurrency: &Concurrency{5, ms(600_000)},
				Plans: map[string]*LimitPlan{"gold": {Concurrency: &Concurrency{50, ms(600_000)}}},
			},
			"by-weight": {
				Name: "by-weight", Key: []KeyPart{KeyMethod, `rule:request.headers["x-plan"] == "gold" ? caller.tenant : ""`, KeyClientIP}, IPv6Prefix: 48,
				Cost: &Cost{Header: "X-Weight", Default: 2, Max: 100}, TokenBucket: &TokenBucket{Capacity: 5, Refill: Rate{5, time.Hour}},
			},
			"by-rule":         {Name: "by-rule", Key: []KeyPart{KeyRoute}, Cost: &Cost{Rule: `request.method == "GET" ? 1 : 5`}, TokenBucket: &TokenBucket{Capacity: 5, Refill: Rate{5, time.Hour}}},
			"by-number":       {Name: "by-number", Key: []KeyPart{KeyRoute}, Mode: ModeShadow, Cost: &Cost{Number: 3}, TokenBucket: &TokenBucket{Capacity: 5, Refill: Rate{5, time.Hour}}},
			"by-short-number": {Name: "by-short-number", Key: []KeyPart{KeyRoute}, Cost: &Cost{Number: 4}, TokenBucket: &TokenBucket{Capacity: 5, Refill: Rate{5, time.Hour}}},
		},
		RateLimitHeaders: HeadersBoth,
		Strangers:        &Strangers{Limits: []string{"per-stranger"}},
		Errors: []*ErrorBody{{
			Status: []StatusRange{{401, 401}, {500, 599}}, Accept: "text/html", ContentType: "text/html; charset=utf-8", Body: "<h1>${status}</h1>\n",
		}},
		AccessLog: &AccessLog{Successes: percent(12.5), OTLP: &LogSink{Backend: "users-v1", Path: "/logs"}, Stdout: new(false)},
		Metrics:   &Metrics{Requests: new(true)},
		Tracing: &Tracing{
			OTLP: &SpanSink{Backend: "users-v1", Path: "/spans"}, Datadog: &SpanSink{Backend: "users-v2"},
			Service: "edge", Percent: percent(0.25), Errors: new(false), Exemplars: ExemplarsUser,
		},
		Routes: []*Route{
			{
				Name: "users",
				Match: Match{
					Hosts: []string{"api.example.com", "*.example.org", "10.0.0.1", "[::1]"}, Methods: []string{"GET", "HEAD"}, Path: "/users/{id}/**",
					Headers: map[string]ValueMatch{
						"Accept": {Exact: "application/json"}, "X-Version": {Prefix: "2."}, "X-Debug": {Absent: true}, "X-Shop": {Regex: "[a-z]+"},
					},
					Query: map[string]ValueMatch{"preview": {Exact: "true"}, "flag": {}, "any": {Present: true}, "full": {Exact: "x"}},
				},
				Priority: -5, Placement: PlacementService,
				Auth: &RouteAuth{AnyOf: []*Requirement{
					{Introspection: "legacy", Mode: ModeShadow},
					{ClientCertificate: "workloads", Mode: ModeShadow},
					{JWT: "main", Scopes: []string{"users:read", "users:list"}, Claims: map[string][]string{"role": {"admin", "owner"}}, AnyScope: []string{"users:all", "users:some"}, Roles: []string{"staff"},
						RequiredClaims: []string{"jti"}, Mode: ModeEnforce, Rule: `claims.tier == "gold" && request.method != "DELETE"`},
				}},
				Limits: []string{"per-user", "per-plan"},
				To: []*Destination{
					{Backend: "users-v1", Weight: weight(95)},
					{
						Backend: "users-v2", Weight: weight(5),
						Request:  &HeaderChanges{Set: map[string]string{"X-Side": "new"}},
						Response: &HeaderChanges{Remove: []string{"X-Old"}},
					},
				},
				Rollout: &Rollout{
					Backend: "users-v2", Release: "2.1", Steps: []int{5, 25, 100}, Every: ms(300_000), BackEvery: ms(10_000),
					AbortWhen: &AbortWhen{ErrorRate: 0.02, P99: ms(800), MinRequests: 100, Tolerance: &RolloutTolerance{Errors: 1.5, Latency: 1.1}},
				},
				Pin:      &Pin{Header: "X-Canary", Values: map[string]string{"always": "users-v2", "never": "users-v1"}},
				Sticky:   []StickyPart{"user", "cookie:session", "clientIP"},
				Timeout:  ms(2000),
				Retry:    &Retry{Attempts: 2, On: []string{"5xx", "resource-exhausted"}, Codes: []int{409, 429}, PerTryTimeout: ms(500), Backoff: &Backoff{Base: ms(50), Max: ms(1000), RetryAfter: ms(1500)}},
				Hedge:    &Hedge{OnPerTryTimeout: true},
				Request:  &HeaderChanges{Set: map[string]string{"X-Via": "gateway, one", "Authorization": "Basic eDp5"}, Add: map[string]string{"Via": "gateway"}, Remove: []string{"X-Debug"}},
				Response: &HeaderChanges{Set: map[string]string{"X-Frame-Options": "DENY"}, Remove: []string{"Server"}},
			},
			{
				Name: "keys", Match: Match{Path: "/keys/"},
				Auth:   &RouteAuth{AnyOf: []*Requirement{{APIKey: "header", Permissions: []string{"keys:read"}}, {APIKey: "query"}}, AllOf: []*Requirement{{JWT: "main", Scopes: []string{"keys:use"}}}, AllowAnonymous: true},
				Limits: []string{"per-key"}, To: []*Destination{{Backend: "users-v1"}},
			},
			{
				Name: "robots", Match: Match{Path: "/robots.txt"}, Auth: &RouteAuth{Public: true},
				Respond: &Respond{Status: 299, Body: "User-agent: *\n\tDisallow: /\r\n", Headers: map[string]string{"Content-Type": "text/plain"}},
			},
			{
				Name: "shop", Match: Match{Path: "/shop/{id}/**"}, Auth: &RouteAuth{Public: true},
				To: []*Destination{{Backend: "users-v1"}},
				Rewrite: &Rewrite{Path: "/v2/{id}/**", Host: "shop.internal", Query: &QueryChanges{
					Set: map[string]string{"shop": "${path.id}"}, Add: map[string]string{"via": "gateway"}, Remove: []string{"debug"}, Rename: map[string]string{"q": "query"},
				}},
				Request: &HeaderChanges{Set: map[string]string{"X-Shop": "shop ${path.id} $${x}"}, Rename: map[string]string{"X-Old": "X-New"}},
				Mirror:  &Mirror{Backend: "users-v2", Percent: percent(0.5)},
				Compress: &Compress{
					Algorithms: []CompressionAlgorithm{Brotli, Zstd}, ContentTypes: []string{"application/json", "text/html"}, MinBytes: 1024, Level: Small,
				},
				Decompress: []Direction{OfRequest}, MaxBodyBytes: 1 << 20,
				Body: &Body{
					Request: &RequestBody{Template: `{"id": "${body.id}", "by": "${request.path}"}`, MaxBytes: 1024, Reads: jsontemplate.Reads{Request: true}},
					Response: &ResponseBody{
						Template: "${without(body, ['secret'])}", Status: []BodyStatus{{200, 200}, {400, 499}}, MaxBytes: 1 << 20,
					},
					OnFailure: BodyPass,
				},
				Errors: []*ErrorBody{
					{Status: []StatusRange{{404, 404}}, From: FromBackend, ContentType: "text/plain", Body: "gone"},
					{Status: []StatusRange{{500, 599}}, From: FromAny, ContentType: "text/plain", Body: "${reason}"},
				},
			},
			{
				Name: "docs", Match: Match{Path: "/docs/**"}, Auth: &RouteAuth{Public: true},
				Redirect: &Redirect{Status: 308, Scheme: "https", Host: "docs.example.com", Port: 8443, Path: "/v2/**"},
			},
			{
				Name: "orders",
				Match: Match{
					GRPC: &GRPCMatch{Service: "shop.v1.Orders", Method: "Get"},
					// What it means.
					Path: "/shop.v1.Orders/Get", Methods: []string{"POST"},
					Headers: map[string]ValueMatch{"Content-Type": {Regex: `application/grpc(-web(-text)?)?([+;].*)?`}, "X-Version": {Exact: "2"}},
				},
				Auth: &RouteAuth{Public: true}, To: []*Destination{{Backend: "users-v2"}},
				Mirrors: []*Mirror{{Backend: "users-v1"}, {Backend: "users-v2", Percent: percent(10)}},
				Stream:  true, GRPCWeb: true,
			},
			{
				Name: "chat", Match: Match{Path: "/chat"}, Auth: &RouteAuth{Public: true},
				To:       []*Destination{{Backend: "chat"}},
				Upgrades: []string{"websocket", "spdy/3.1"}, IdleTimeout: ms(3_600_000),
				CORS: &CORS{
					Origins: []string{"https://shop.example.com", "https://*.example.org:8443"}, Methods: []string{"GET"}, Headers: []string{"*"},
					ExposeHeaders: []string{"X-Total", "ETag"}, Credentials: true, MaxAge: ms(600_000),
				},
			},
			{
				Name: "beta", Match: Match{Path: "/beta"}, Auth: &RouteAuth{Public: true},
				To:  []*Destination{{Backend: "users-v1", Weight: weight(1)}, {Backend: "users-v2", Weight: weight(0)}},
				Pin: &Pin{Cookie: "beta", Values: map[string]string{"1": "users-v2"}}, Sticky: []StickyPart{"header:X-Device"},
				Compress: &Compress{Off: true},
			},
			{
				Name: "inside", Match: Match{Path: "/inside"}, Auth: &RouteAuth{AnyOf: []*Requirement{{JWT: "main"}}},
				To: []*Destination{{Backend: "users-v1"}}, Pin: &Pin{Claim: "group", Values: map[string]string{"testers": "users-v1"}},
				Tracing: &RouteTracing{Percent: percent(100)},
			},
			{
				Name: "rest", Match: Match{Path: "/api/v1/**"}, Auth: &RouteAuth{Public: true}, To: []*Destination{{Backend: "users-v2"}},
				GRPCTranscode: &GRPCTranscode{
					Descriptor: "testdata/orders.pb", Services: []string{"shop.v1.Orders"}, Unbound: true, UnknownQuery: UnknownQueryIgnore, IgnoreQuery: []string{"trace"},
					Streams: StreamLines, ProtoNames: true, EnumNumbers: true, EnumsAnyCase: true, DefaultValues: true, ErrorDetails: true, MaxRequest: 65536, MaxResponse: 1048576,
					Set: shopSet(t),
				},
				OpenAPI: &RouteOpenAPI{Document: "orders", Validate: ValidateRequest, Mode: ValidateShadow, MaxBody: 65536},
			},
		},
		Experiments: Experiments{EnvoyModule: "/usr/lib/gatewright/libgatewright.so"},
		OpenAPI:     map[string]*OpenAPI{"orders": {Name: "orders", Document: "testdata/api.yaml"}},
		Contents:    []Content{{Path: "testdata/api.yaml", Data: read(t, "testdata/api.yaml")}, {Path: "testdata/orders.pb", Data: read(t, "testdata/orders.pb")}},
	}
	if d := got.OpenAPI["orders"]; d.Validator == nil || len(d.Sum) != 64 {
		t.Errorf("nothing is read of the document: %+v", d)
	} else {
		d.Validator, d.Sum = nil, "" // what is made of it is not compared
	}
	if !reflect.DeepEqual(got, want) {
		differ(t, "config", reflect.ValueOf(got), reflect.ValueOf(want))
	}
	// What cannot stand beside the rest: see TestProxiesOf, and the goldens tracing-zipkin and lean. And
	// what is refused: see testdata/bad/experiments.yaml.
	beside := &Config{
		TrustedHops: 2, Tracing: &Tracing{Off: true, Zipkin: &SpanSink{Backend: "zipkin"}, Trust: TrustEverybody},
		Experiments: Experiments{RateLimitQuota: true},
	}
	for _, field := range unset(reflect.ValueOf([]*Config{want, beside})) {
		t.Errorf("no value in the test for %s", field)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// shopSet is what is read of testdata/orders.pb.
func shopSet(t *testing.T) *transcoding.Set {
	t.Helper()
	set, problems := transcoding.Read(read(t, "testdata/orders.pb"), transcoding.Options{Services: []string{"shop.v1.Orders"}, AllTypes: true, Unbound: true})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return set
}

// differ says where two values differ: a whole config is no help to read.
func differ(t *testing.T, at string, got, want reflect.Value) {
	t.Helper()
	switch {
	case reflect.DeepEqual(got.Interface(), want.Interface()):
	case got.Kind() == reflect.Pointer && !got.IsNil() && !want.IsNil():
		differ(t, at, got.Elem(), want.Elem())
	case got.Kind() == reflect.Struct:
		for i := range got.NumField() {
			differ(t, at+"."+got.Type().Field(i).Name, got.Field(i), want.Field(i))
		}
	case got.Kind() == reflect.Slice && got.Len() == want.Len():
		for i := range got.Len() {
			differ(t, at+"[]", got.Index(i), want.Index(i))
		}
	case got.Kind() == reflect.Map && got.Len() == want.Len():
		for _, key := range want.MapKeys() {
			if value := got.MapIndex(key); value.IsValid() {
				differ(t, at+"."+key.String(), value, want.MapIndex(key))
			} else {
				t.Errorf("%s: no %s", at, key)
			}
		}
	default:
		t.Errorf("%s is %#v, want %#v", at, got.Interface(), want.Interface())
	}
}

// unset are the supported fields, of all structs below v together, that have
// their zero value everywhere: fields that the test forgot.
func unset(v reflect.Value) []string {
	set, all := map[string]bool{}, map[string]bool{}
	collect(v, set, all)
	var missing []string
	for _, name := range sorted(all) {
		if !set[name] {
			missing = append(missing, name)
		}
	}
	return missing
}

func collect(v reflect.Value, set, all map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			collect(v.Elem(), set, all)
		}
	case reflect.Slice:
		for i := range v.Len() {
			collect(v.Index(i), set, all)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			collect(v.MapIndex(key), set, all)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if name := f.Tag.Get("yaml"); name == "" || f.Tag.Get("later") != "" || name == "-" && f.Name != "Name" {
				continue
			}
			name := strings.TrimPrefix(v.Type().String(), "config.") + "." + f.Name
			all[name] = true
			set[name] = set[name] || !v.Field(i).IsZero()
			collect(v.Field(i), set, all)
		}
	}
}

// TestGRPCMatchIsSpelledOut: what is left out of a gRPC match is a variable, and
// a gRPC match goes before the same path that is said as one.
func TestGRPCMatchIsSpelledOut(t *testing.T) {
	gateway := func(match string) *Config {
		t.Helper()
		cfg, err := Parse("f.yaml", []byte("listeners: [{name: public, address: 0.0.0.0:8080}]\n"+
			"backends: {b: {endpoints: [10.0.0.5:80], protocol: http2}}\nroutes:\n"+
			"- {name: a, match: {path: /s/M, methods: [POST]}, auth: public, to: [{backend: b}]}\n"+
			"- {name: r, match: "+match+", auth: public, to: [{backend: b}]}\n"))
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	for match, want := range map[string]string{
		"{grpc: {service: s, method: M}}": "/s/M",
		"{grpc: {service: a.b.S}}":        "/a.b.S/{method}",
		"{grpc: {method: M}}":             "/{service}/M",
		"{grpc: {}}":                      "/{service}/{method}",
	} {
		if got := gateway(match).Routes[1].Match.Path; got != want {
			t.Errorf("%s is the path %s, want %s", match, got, want)
		}
	}
	if first := gateway("{grpc: {service: s, method: M}}").RoutesBySpecificity()[0].Name; first != "r" {
		t.Errorf("the first route is %s", first)
	}
}

func TestAliasStandsForWholeValue(t *testing.T) {
	cfg, err := Load("testdata/good/edges.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Backends["same"].Endpoints; !reflect.DeepEqual(got, []*Endpoint{{Address: "10.0.0.5:9000"}}) {
		t.Errorf("the alias gave %v", got)
	}
	if cfg.Backends["same"] == cfg.Backends["x"] {
		t.Error("an alias and its anchor are one value in Go: to change the one would change the other")
	}
}

func TestIdentityHeaders(t *testing.T) {
	cfg := &Config{Auth: Providers{
		JWT:    map[string]*JWT{"a": {Forward: map[string]string{"sub": "x-user-id", "role": "X-User-Role"}}},
		APIKey: map[string]*APIKey{"b": {Forward: map[string]string{"owner": "X-USER-ID", "tenant": "X-Tenant-ID"}}},
	}}
	wantLines(t, cfg.IdentityHeaders(), []string{"X-Tenant-Id", "X-User-Id", "X-User-Role"})
	if got := (&Config{}).IdentityHeaders(); len(got) != 0 {
		t.Errorf("without providers there are %v", got)
	}
}

// TestWeightsAddUp: Envoy takes no sum above 32 bits, which needs more backends
// than a file in testdata should have.
func TestWeightsAddUp(t *testing.T) {
	gateway := func(backends int) string {
		var named, split strings.Builder
		for i := range backends {
			fmt.Fprintf(&named, "  b%d: {endpoints: [10.0.0.5:80]}\n", i)
			fmt.Fprintf(&split, "  - {backend: b%d, weight: 1000000}\n", i)
		}
		return "listeners: [{name: public, address: 0.0.0.0:8080}]\nbackends:\n" + named.String() +
			"routes:\n- name: r\n  match: {path: /}\n  auth: public\n  to:\n" + split.String()
	}
	if faults := faultsOf(t, gateway(4294)); len(faults) > 0 {
		t.Errorf("within the bound: %v", faults)
	}
	if got := faultsOf(t, gateway(4295)).Error(); !strings.HasSuffix(got, "routes[0].to: must have weights of at most 4294967295 together") {
		t.Errorf("beyond the bound: %s", got)
	}
}
