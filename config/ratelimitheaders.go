package config

// IETF tells that answers have RateLimit-Limit, -Remaining and -Reset.
func (h RateLimitHeaders) IETF() bool { return h == "" || h == HeadersIETF || h == HeadersBoth }

// X tells that answers have X-RateLimit-Limit, -Remaining and -Reset.
func (h RateLimitHeaders) X() bool { return h == HeadersX || h == HeadersBoth }
