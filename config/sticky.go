package config

import (
	"slices"
	"strings"
)

// Cookie is the name of the cookie that a part is.
func (p StickyPart) Cookie() (name string, ok bool) {
	return strings.CutPrefix(string(p), StickyCookiePrefix)
}

// Header is the name of the header that a part is.
func (p StickyPart) Header() (name string, ok bool) { return KeyPart(p).Header() }

// Claim is the name of the claim that a part is.
func (p StickyPart) Claim() (name string, ok bool) { return KeyPart(p).Claim() }

// OfCaller tells a part whose value is the caller's, and not the request's.
func (p StickyPart) OfCaller() bool {
	_, cookie := p.Cookie()
	return !cookie && KeyPart(p).OfCaller()
}

// KeptByCaller tells that it depends on who the caller is which side of the
// route's split a request is kept on: Envoy does not know that, and Check decides.
func (r *Route) KeptByCaller() bool {
	return len(r.To) > 1 && slices.ContainsFunc(r.Sticky, StickyPart.OfCaller)
}

// PinnedByClaim tells that a claim chooses the side of the route's split.
func (r *Route) PinnedByClaim() bool { return r.Pin != nil && r.Pin.Claim != "" }
