package plan

import (
	"os"
	"strings"
	"testing"
)

// TestMain sets the secrets that the good configs name: one that names what is not
// set is refused.
func TestMain(m *testing.M) {
	for _, name := range []string{"TOKEN_SECRET_32", "TOKEN_SECRET_47"} {
		if err := os.Setenv(name, strings.Repeat("s", 47)); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
