package authz

// Settings are what the environment says of the judge.
type Settings struct {
	// TokenCacheEntries is how many verified tokens are remembered, at some 2 KiB
	// each. A token counts as many entries as its text has KiB. 0 is none.
	TokenCacheEntries int `envconfig:"GATEWRIGHT_TOKEN_CACHE_ENTRIES" default:"65536"`
}
