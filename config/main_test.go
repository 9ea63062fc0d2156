package config

import (
	"os"
	"testing"
)

// TestMain sets the secrets that the files in testdata name: a config that names
// one that is not set is refused.
func TestMain(m *testing.M) {
	for name, secret := range map[string]string{
		"INTROSPECT_SECRET": "open sesame",
		"TOKEN_SECRET_32":   "01234567890123456789012345678901",
		"TOKEN_SECRET_47":   "base64:" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY",
		"TOKEN_SECRET_LINE": "01234567890123456789012345678901\n",
		"TOKEN_SECRET_ODD":  "base64:Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz8/Pz9",
	} {
		if err := os.Setenv(name, secret); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
