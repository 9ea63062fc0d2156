package config

import (
	"crypto/sha256"
	"encoding/hex"
)

// CountedHeader is the header of a request with the value of a part of a limit's key, by
// which the limit counts where it runs inside Envoy. It is set by whoever has found out
// who the caller is: by the filter that verifies tokens, or by Check. A value that the
// caller lacks has no header. Clients cannot set it, and no backend sees it. It is empty
// for parts that Envoy knows by itself, and for those that it cannot count by.
func (p KeyPart) CountedHeader() string {
	if claim, ok := p.Claim(); ok {
		sum := sha256.Sum256([]byte(claim)) // a claim's name may have any character
		return countedPrefix + "claim-" + hex.EncodeToString(sum[:8])
	}
	switch p {
	case KeyUser, KeyTenant:
		return countedPrefix + string(p)
	}
	return ""
}
