package config

// Providers are the sources of identity, by kind and name.
type Providers struct {
	JWT           map[string]*JWT           `yaml:"jwt"`
	APIKey        map[string]*APIKey        `yaml:"apiKey"`
	Introspection map[string]*Introspection `yaml:"introspection"`
	// ClientCertificate takes what a listener's clientCA has verified.
	ClientCertificate map[string]*ClientCertificate `yaml:"clientCertificate"`
}

// JWT trusts the signed tokens of one issuer (RFC 7519).
type JWT struct {
	// Name is the key under which the provider stands in the file.
	Name string `yaml:"-"`
	// Issuer must equal the token's iss claim, byte for byte.
	Issuer string `yaml:"issuer" required:"true"`
	// Audiences: the token's aud must name at least one of them.
	Audiences []string `yaml:"audiences" required:"true"`
	// Algorithms are the only signature algorithms accepted (RFC 7518 names).
	// Empty means RS256 and ES256. With SecretEnv they are named: of HS256, HS384
	// and HS512.
	Algorithms []string `yaml:"algorithms"`
	// JWKS is where the issuer's public keys are. Either it or SecretEnv is given.
	JWKS JWKS `yaml:"jwks"`
	// SecretEnv names the environment variable that holds the secret which the
	// issuer and the gateway share, for tokens with a MAC in place of a signature
	// (RFC 7518, section 3.2). It is taken byte for byte, or decoded where it begins
	// with base64:, and must be as long as the longest hash of Algorithms. Whoever has
	// it can make tokens: prefer public keys.
	SecretEnv string `yaml:"secretEnv"`
	// PreviousSecretEnv names the variable of the secret that was in use before, or
	// will be next: tokens by either are taken. Only with SecretEnv.
	PreviousSecretEnv string `yaml:"previousSecretEnv"`
	// TokenType is what the token's header must say as its typ, as at+jwt (RFC
	// 9068): in any case, with or without application/. Empty takes JWT, at+jwt
	// and no typ at all.
	TokenType string `yaml:"tokenType"`
	// RolesClaim is the claim that the caller's roles are in: a text, which is
	// one role, or a list of them. Empty means roles.
	RolesClaim string `yaml:"rolesClaim"`
	// PlanClaim is the claim that names the caller's plan: a text. It goes before
	// the plan of the tenant's record. Empty takes none from tokens.
	PlanClaim string `yaml:"planClaim"`
	// CertificateBound asks for tokens that are bound to the client's certificate
	// (RFC 8705, section 3): cnf must have an x5t#S256 that is the hash of the one
	// which the connection was made with. Who has stolen a token alone has nothing.
	// It needs a listener with tls.clientCA.
	CertificateBound bool `yaml:"certificateBound"`
	// ClockSkew is allowed once on exp and once on nbf and iat. 0 means 30s.
	ClockSkew Duration `yaml:"clockSkew"`
	// Forward sends claims to the backend as headers: claim name to header
	// name. These headers are removed from every request of a client.
	Forward map[string]string `yaml:"forward"`
	// ForwardCredential leaves the token in the Authorization header that the
	// backend sees. By default it is taken out.
	ForwardCredential bool `yaml:"forwardCredential"`
}

// JWKS is the place of a JSON Web Key Set (RFC 7517): exactly one of URL,
// Discover, File and Inline is given. The set that was loaded last stays in use
// while its place cannot be read.
type JWKS struct {
	// URL is fetched in the background and kept fresh.
	URL string `yaml:"url"`
	// Discover asks the issuer where its keys are: its discovery document is at
	// the provider's issuer and /.well-known/openid-configuration (OpenID Connect
	// Discovery 1.0), and must name that very issuer. Its jwks_uri must be at the
	// issuer's own host, or at KeyHost, and https.
	Discover bool `yaml:"discover"`
	// KeyHost is the host that the issuer may name in its jwks_uri beside its
	// own, with a port where it is not the usual one. Only with Discover.
	KeyHost string `yaml:"keyHost"`
	// PlainHTTP allows http:// to other machines: whoever is on the way can put
	// keys of their own into the answer. To this machine, by a loopback address
	// or localhost, http:// is always allowed.
	PlainHTTP bool `yaml:"plainHTTP"`
	// MaxStale is how long keys are used after the issuer has last confirmed
	// them, by an answer to a fetch, when it has been out of reach since then.
	// After that its tokens get a 503. 0 means 72h: an outage of a weekend. Only
	// with URL or Discover.
	MaxStale Duration `yaml:"maxStale"`
	// File is a path; in the file it is relative to the file's own folder, and
	// after Load to the process. It is read again when it changes.
	File string `yaml:"file"`
	// Inline is the set itself.
	Inline string `yaml:"inline" secret:"true" text:"true"`
}

// IsRemote reports whether the set is fetched over the network.
func (k *JWKS) IsRemote() bool { return k.URL != "" || k.Discover }

// APIKey accepts the keys of Gatewright's own key store.
type APIKey struct {
	// Name is the key under which the provider stands in the file.
	Name string `yaml:"-"`
	// From is where a request carries the key. Empty means header X-API-Key.
	// It is taken out before the backend sees the request.
	From KeySource `yaml:"from"`
	// Forward sends properties of the key to the backend as headers: id,
	// tenant or owner, to header name.
	Forward map[string]string `yaml:"forward"`
	// ForwardCredential leaves the backend a key that has been found good, as for JWT.
	ForwardCredential bool `yaml:"forwardCredential"`
}

// KeySource is a header or a query parameter: exactly one, or none for the default.
type KeySource struct {
	Header string `yaml:"header"`
	Query  string `yaml:"query"`
}

// Introspection asks the issuer about each token that it does not remember
// (RFC 7662). It suits tokens that only their issuer can read.
type Introspection struct {
	// Name is the key under which the provider stands in the file.
	Name string `yaml:"-"`
	// URL is the issuer's introspection endpoint.
	URL string `yaml:"url" required:"true"`
	// ClientID is whom the gateway is to the issuer.
	ClientID string `yaml:"clientID" required:"true"`
	// ClientSecretEnv names the environment variable that holds the client's
	// secret. It is sent by HTTP Basic (RFC 6749, section 2.3.1).
	ClientSecretEnv string `yaml:"clientSecretEnv" required:"true"`
	// CA is the path of a PEM bundle that verifies the issuer, in place of the
	// system's. It is relative as JWKS.File is, and read at each change of the
	// config.
	CA string `yaml:"ca"`
	// PlainHTTP allows http:// to other machines, as for JWKS: tokens and the
	// client's secret are then to be read on the way.
	PlainHTTP bool `yaml:"plainHTTP"`
	// Timeout bounds one question. 0 means 800ms; Envoy waits 1s for a verdict.
	Timeout Duration `yaml:"timeout"`
	// Cache is what is remembered of answers.
	Cache IntrospectionCache `yaml:"cache"`
	// Issuer must equal the answer's iss. Empty asks for none.
	Issuer string `yaml:"issuer"`
	// Audiences: the answer's aud must name at least one of them. Empty asks for
	// none: then any token of the issuer's will do.
	Audiences []string `yaml:"audiences"`
	// ClockSkew is allowed on the answer's exp, nbf and iat. 0 means 30s. Nothing
	// is remembered beyond exp itself.
	ClockSkew Duration `yaml:"clockSkew"`
	// PlanClaim is the member of the answer that names the caller's plan, as for
	// JWT.
	PlanClaim string `yaml:"planClaim"`
	// Forward sends members of the answer to the backend as headers, and
	// ForwardCredential leaves it the token, as for JWT.
	Forward           map[string]string `yaml:"forward"`
	ForwardCredential bool              `yaml:"forwardCredential"`
}

// IntrospectionCache bounds what is remembered of an issuer's answers.
type IntrospectionCache struct {
	// MaxAge is how long an active token is taken for active without asking
	// again, and never beyond its exp: so long may a revocation at the issuer
	// go unseen. 0 means 30s. That a token is not active is remembered for 5s,
	// or for MaxAge where that is less.
	MaxAge Duration `yaml:"maxAge"`
	// Entries is how many tokens are remembered. 0 means 10000.
	Entries int `yaml:"entries"`
	// Off remembers nothing: the issuer is asked about every request.
	Off bool `yaml:"off"`
}

// ClientCertificate says whom a client certificate stands for that Envoy has
// verified, by the clientCA of the listener that the request came to. Of each list
// that is given, the certificate must have one; without any, each certificate
// that the listener takes will do.
type ClientCertificate struct {
	// Name is the key under which the provider stands in the file.
	Name string `yaml:"-"`
	// URIs are names of the kind URI (RFC 5280, section 4.2.1.6). Those that begin
	// with spiffe:// are SPIFFE IDs: * stands for one segment of the path, and /**
	// at the end for any path below. They are of certificates alone that are
	// X.509-SVIDs, with one URI, which is a SPIFFE ID.
	URIs []string `yaml:"uris"`
	// DNSNames are names of the kind DNS; *.example.com is any one name below.
	DNSNames []string `yaml:"dnsNames"`
	// Emails are names of the kind e-mail; *@example.com is anybody's there.
	Emails []string `yaml:"emails"`
	// CommonNames and Organizations are parts of the subject (CN, O).
	CommonNames   []string `yaml:"commonNames"`
	Organizations []string `yaml:"organizations"`
	// User is the part that says who the caller is: uri, dnsName, email or
	// commonName. Where a list of that part is given, it is the first name that the
	// list has; else there must be exactly one. Empty means the kind of the first
	// list that is given, in this order.
	User CertificatePart `yaml:"user"`
	// Tenant is the part that says which tenant the caller is of: trustDomain (of
	// its SPIFFE ID), organization or organizationalUnit. Empty takes none.
	Tenant CertificatePart `yaml:"tenant"`
	// Tenants say the tenant by user. Who is not named has none. At most one of
	// Tenant and Tenants is given.
	Tenants map[string]string `yaml:"tenants"`
	// Forward sends parts of the certificate to the backend as headers: a part, or
	// user, tenant, serial or fingerprint, to header name. These headers are
	// removed from every request of a client.
	Forward map[string]string `yaml:"forward"`
}

// CertificatePart is a part of a certificate that names somebody.
type CertificatePart string

// The parts of a certificate.
const (
	PartURI                CertificatePart = "uri"
	PartDNSName            CertificatePart = "dnsName"
	PartEmail              CertificatePart = "email"
	PartCommonName         CertificatePart = "commonName"
	PartTrustDomain        CertificatePart = "trustDomain"
	PartOrganization       CertificatePart = "organization"
	PartOrganizationalUnit CertificatePart = "organizationalUnit"
)

// UserPart is the part that says who the caller is; empty where nothing says it.
func (p *ClientCertificate) UserPart() CertificatePart {
	switch {
	case p.User != "":
		return p.User
	case len(p.URIs) > 0:
		return PartURI
	case len(p.DNSNames) > 0:
		return PartDNSName
	case len(p.Emails) > 0:
		return PartEmail
	case len(p.CommonNames) > 0:
		return PartCommonName
	}
	return ""
}

// RouteAuth is what a route asks of a caller: nothing, one of several
// requirements, or all of several. In the file it is the word "public",
// {anyOf: [...]}, {allOf: [...]}, or both.
type RouteAuth struct {
	// Public asks nothing. Then all else is empty; otherwise AnyOf or AllOf is not.
	Public bool `yaml:"-"`
	// AnyOf is tried in order; the first that holds decides who the caller is.
	// Those in shadow decide nothing: where all that is asked for is in shadow,
	// every request passes.
	AnyOf []*Requirement `yaml:"anyOf"`
	// AllOf must all hold, beside one of AnyOf where one is enforced there, and
	// must not speak of two users or two tenants. Where none is, the caller is the
	// one of the first. Headers of the others are set where the caller's are not.
	// None of them can be in shadow.
	AllOf []*Requirement `yaml:"allOf"`
	// AllowAnonymous lets a request without any credential pass, as nobody's. A
	// credential that is there must be good.
	AllowAnonymous bool `yaml:"allowAnonymous"`
}

// Requirement names one provider, and what its credential must carry.
type Requirement struct {
	// JWT, APIKey, Introspection and ClientCertificate name a provider: exactly one
	// is given.
	JWT               string `yaml:"jwt"`
	APIKey            string `yaml:"apiKey"`
	Introspection     string `yaml:"introspection"`
	ClientCertificate string `yaml:"clientCertificate"`
	// Scopes must all be in the token's scope or scp claim. Not for APIKey.
	Scopes []string `yaml:"scopes"`
	// AnyScope: at least one of them must be there. JWT only.
	AnyScope []string `yaml:"anyScope"`
	// Roles: the caller must have at least one of them, see JWT.RolesClaim. JWT
	// only.
	Roles []string `yaml:"roles"`
	// RequiredClaims must be there, and not be null. JWT only.
	RequiredClaims []string `yaml:"requiredClaims"`
	// Claims: each named claim must equal, or as a list contain, one of the
	// values. Of an introspected token the members of the answer are its claims.
	// Not for APIKey.
	Claims map[string][]string `yaml:"claims"`
	// Permissions must all be on the key. APIKey only.
	Permissions []string `yaml:"permissions"`
	// Rule is an expression in CEL (https://cel.dev) that must come to true,
	// over claims (JWT) or key (APIKey), and request. Not for the others. One line: a long one is
	// folded, as by YAML's >-.
	Rule string `yaml:"rule"`
	// Mode is whether the requirement is enforced. The empty string means enforce.
	Mode RequirementMode `yaml:"mode"`
}

// InShadow tells that the requirement is judged and counted, and not enforced.
func (q *Requirement) InShadow() bool { return q.Mode == ModeShadow }

// RequirementMode is whether a requirement is enforced.
type RequirementMode string

// The modes. A requirement in shadow is judged and counted, and protects
// nothing: what it would answer is in metrics, access log and status alone.
const (
	ModeEnforce RequirementMode = "enforce"
	ModeShadow  RequirementMode = "shadow"
)
