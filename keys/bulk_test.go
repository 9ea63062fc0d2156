package keys

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestTimeImport(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		store := openStore(t, db.url)
		var lines strings.Builder
		for i := range maxImports {
			key, _ := New(rand.Reader)
			fmt.Fprintf(&lines, `{"name":"bulk %d","key":%q,"tenant":"acme","permissions":["users:read"]}`+"\n", i, key.Secret.Reveal())
		}
		began := time.Now()
		imports, err := ReadJSONLines(strings.NewReader(lines.String()))
		if err != nil {
			t.Fatal(err)
		}
		t.Log("read", time.Since(began))
		began = time.Now()
		if _, err := store.Import(t.Context(), imports); err != nil {
			t.Fatal(err)
		}
		t.Log("import", time.Since(began))
	})
}
