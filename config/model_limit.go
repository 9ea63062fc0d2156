package config

// Limit is a rate limit: how much, for each value of its key.
type Limit struct {
	// Name is the key under which the limit stands in the file. State is kept
	// under it, so a changed limit neither forgives nor punishes anybody.
	Name string `yaml:"-"`
	// Key is what the limit counts by; several parts count by their combination.
	Key []KeyPart `yaml:"key" required:"true"`
	// Exactly one algorithm is given: TokenBucket, SlidingWindow, SlidingLog,
	// FixedWindow, Quota or Concurrency.
	TokenBucket *TokenBucket `yaml:"tokenBucket"`
	// SlidingWindow counts by sixtieths of the window, by the second in a minute, and
	// never admits more than its limit in any window.
	SlidingWindow *SlidingWindow `yaml:"slidingWindow"`
	// SlidingLog keeps the time of each request: exact, and dear in memory.
	SlidingLog *SlidingWindow `yaml:"slidingLog"`
	// FixedWindow counts in windows that begin at multiples of their length, in
	// UTC. Around a border it admits up to twice the limit in one window's time.
	FixedWindow *SlidingWindow `yaml:"fixedWindow"`
	// Quota counts by the calendar.
	Quota *Quota `yaml:"quota"`
	// Concurrency counts requests in flight.
	Concurrency *Concurrency `yaml:"concurrency"`
	// Cost is what a request takes. Nil is 1.
	Cost *Cost `yaml:"cost"`
	// IPv6Prefix is how many leading bits of an IPv6 address are one client, for
	// the key part clientIP. From 1 to 128; 0 means 64 (RFC 6177: the least that
	// one subscriber is given).
	IPv6Prefix int `yaml:"ipv6Prefix"`
	// Mode says whether the limit denies. The empty string means enforce; one in
	// shadow is charged, counted and logged, and denies nobody.
	Mode RequirementMode `yaml:"mode"`
	// Plans are what the limit is for callers of a plan, by the plan's name.
	// Callers of no plan, or of one that is not here, have the limit's own
	// algorithm. Only for a limit whose key tells callers or customers apart.
	Plans map[string]*LimitPlan `yaml:"plans"`
	// Consistency is how instances share the limit. The empty string means exact,
	// as a SlidingLog and Concurrency must be.
	Consistency Consistency `yaml:"consistency"`
	// OnStoreFailure is what happens while Redis cannot answer. The empty
	// string means local.
	OnStoreFailure OnStoreFailure `yaml:"onStoreFailure"`
}

// InShadow tells that the limit is charged and counted, and denies nobody.
func (l *Limit) InShadow() bool { return l.Mode == ModeShadow }

// LimitPlan is what a limit is for callers of one plan: the fields of the
// limit's own algorithm, with other numbers.
type LimitPlan struct {
	// The algorithm must be the limit's own, with the same windows.
	TokenBucket   *TokenBucket   `yaml:"tokenBucket"`
	SlidingWindow *SlidingWindow `yaml:"slidingWindow"`
	SlidingLog    *SlidingWindow `yaml:"slidingLog"`
	FixedWindow   *SlidingWindow `yaml:"fixedWindow"`
	Quota         *Quota         `yaml:"quota"`
	Concurrency   *Concurrency   `yaml:"concurrency"`
}

// KeyPart is one part of a limit's key: one of the constants below, or
// header:NAME, claim:NAME or rule:EXPRESSION.
type KeyPart string

// The fixed parts of a key. A value that a request does not have counts as empty.
const (
	KeyUser     KeyPart = "user"
	KeyTenant   KeyPart = "tenant"
	KeyAPIKey   KeyPart = "apiKey"
	KeyClientIP KeyPart = "clientIP"
	KeyRoute    KeyPart = "route"
	// KeyMethod is the method, where it is one that routes can name. All others
	// count together, as the empty value: nobody gets new buckets by making up
	// methods.
	KeyMethod KeyPart = "method"

	// KeyHeaderPrefix and KeyClaimPrefix begin the parts that carry a name, and
	// KeyRulePrefix those that are a CEL expression of the request and its caller. One
	// that fails counts as the empty value.
	KeyHeaderPrefix = "header:"
	KeyClaimPrefix  = "claim:"
	KeyRulePrefix   = "rule:"
)

// TokenBucket admits Capacity at once, and Refill over time: in any time T at
// most Capacity + Refill × T.
type TokenBucket struct {
	// Capacity is the size of the bucket, in requests. More than 0.
	Capacity int64 `yaml:"capacity" required:"true"`
	// Refill is the rate at which it fills, as 10/s or 600/m.
	Refill Rate `yaml:"refill" required:"true"`
}

// SlidingWindow admits Limit in a Window.
type SlidingWindow struct {
	// Limit is how many requests. More than 0.
	Limit int64 `yaml:"limit" required:"true"`
	// Window is the time that they are counted in.
	Window Duration `yaml:"window" required:"true"`
}

// Quota admits Limit in each Per of the calendar.
type Quota struct {
	// Limit is how many requests. More than 0.
	Limit int64 `yaml:"limit" required:"true"`
	// Per is the calendar unit.
	Per CalendarUnit `yaml:"per" required:"true"`
	// TimeZone is where the calendar is, as Europe/Vienna (IANA's names). The
	// empty string means UTC.
	TimeZone string `yaml:"timeZone"`
}

// CalendarUnit is a unit of a calendar: the time between two of its borders is
// not always the same.
type CalendarUnit string

// The calendar units. A week begins on Monday (ISO 8601).
const (
	PerHour  CalendarUnit = "hour"
	PerDay   CalendarUnit = "day"
	PerWeek  CalendarUnit = "week"
	PerMonth CalendarUnit = "month"
)

// Concurrency admits Max requests at once. A request counts until Envoy tells of
// its end.
type Concurrency struct {
	// Max is how many. More than 0.
	Max int64 `yaml:"max" required:"true"`
	// Lease is how long a request counts whose end nobody tells of. 0 means 1m.
	// One that takes longer is forgotten, and no longer counts.
	Lease Duration `yaml:"lease"`
}

// Cost is what a request takes of a limit: a number, or what a header or a rule
// says of the request.
type Cost struct {
	// Exactly one of Number, Header and Rule is given; a number alone may stand
	// for the whole, as cost: 5.
	Number int64 `yaml:"number"`
	// Header is a request header whose value is the cost, as a whole number above
	// 0 in decimal digits. A request without it, or with anything else in it, costs
	// Default. Who sets the header says what a request costs: take one that clients
	// cannot set lower than what they ask for.
	Header string `yaml:"header"`
	// Rule is a CEL expression of the request and its caller whose value is a whole
	// number. 0 takes nothing. One that fails, or is below 0, costs Default.
	Rule string `yaml:"rule"`
	// Default is the cost where header or rule say none. 0 means 1.
	Default int64 `yaml:"default"`
	// Max cuts what header or rule say. 0 means 1000000.
	Max int64 `yaml:"max"`
}

// Consistency is how the instances of a fleet share one limit.
type Consistency string

// The consistencies. The empty string means exact: the store decides each request.
const (
	Exact Consistency = "exact"
	Lease Consistency = "lease"
	Sync  Consistency = "sync"
)

// OnStoreFailure is what a limit does while its store cannot answer.
type OnStoreFailure string

// What can be done without the store. The empty string means local: this
// instance counts alone.
const (
	FailLocal OnStoreFailure = "local"
	FailAllow OnStoreFailure = "allow"
	FailDeny  OnStoreFailure = "deny"
)
