package config

import (
	"os"
	"testing"
)

// TestMain sets the secret that the files in testdata name: a config that names
// one that is not set is refused.
func TestMain(m *testing.M) {
	if err := os.Setenv("INTROSPECT_SECRET", "open sesame"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
