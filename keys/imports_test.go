package keys

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func readCSV(t *testing.T, text string) []Import {
	t.Helper()
	imports, err := ReadCSV(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return imports
}

const foreign = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"

func TestImportedKeysOpen(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		r.other.now = r.clock.Now
		ours := unknownKey(t)
		hashed := digestOf("another-key-of-theirs")
		r.poll(t)
		r.want(t, foreign, Malformed)
		if reads := r.tap.lookUps.Load(); reads != 0 {
			t.Errorf("%d reads for a text that is not ours while nothing is imported, want 0", reads)
		}
		records, err := r.other.Import(t.Context(), readCSV(t, `name,key,sha256,tenant,permissions,labels,expiresAt
text,`+foreign+`,,acme,users:read users:write,team=a tier=gold,2999-01-01T00:00:00Z
hash,,`+hexOf(hashed[:])+`,,,,
ours,`+ours+`,,,,,
`))
		if err != nil {
			t.Fatal(err)
		}
		r.poll(t)
		for text, name := range map[string]string{foreign: "text", "another-key-of-theirs": "hash", ours: "ours"} {
			answer := r.find(t, text)
			if answer.State != Valid || answer.Record.Name != name {
				t.Errorf("%s: %s, %+v", name, answer.State, answer.Record)
			}
		}
		if got := r.find(t, foreign).Record; got.Tenant != "acme" || !got.HasPermissions([]string{"users:read", "users:write"}) ||
			got.Labels["tier"] != "gold" || got.ExpiresAt.Year() != 2999 || !got.Imported || strings.Contains(foreign, got.ID) {
			t.Errorf("record %+v", got)
		}
		r.want(t, foreign+"x", Unknown)
		r.want(t, "short", Malformed)

		// Rotated it becomes one of ours, under the same id.
		_, secret, err := r.other.Rotate(t.Context(), records[0].ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		r.poll(t)
		r.want(t, foreign, Expired)
		r.want(t, secret.Reveal(), Valid)
		if _, err := r.other.Revoke(t.Context(), records[1].ID); err != nil {
			t.Fatal(err)
		}
		r.poll(t)
		r.want(t, "another-key-of-theirs", Revoked)
	})
}

func TestImportIsAllOrNothing(t *testing.T) {
	onEach(t, func(t *testing.T, db database) {
		store := openStore(t, db.url)
		if _, err := store.Import(t.Context(), readCSV(t, "name,key\na,"+foreign)); err != nil {
			t.Fatal(err)
		}
		text := strings.Repeat("k", 20)
		added := readCSV(t, "name,key\nnew,"+text)
		spoilt := added[0]
		spoilt.Name, spoilt.Line = "", 3
		for want, imports := range map[string][]Import{
			"line 3: the key is there already, as ": readCSV(t, "name,key\nnew,"+text+"\nold,"+foreign),
			"line 3: the same key as in line 2":     append(added, spoilt),
			"line 3: name: missing":                 append(added, spoilt),
		} {
			_, err := store.Import(t.Context(), imports)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), text) || strings.Contains(err.Error(), foreign) {
				t.Errorf("Import = %v, want it with %q and without a key", err, want)
			}
		}
		records, err := store.List(t.Context(), Filter{})
		if err != nil || len(records) != 1 {
			t.Errorf("%d keys, %v; want the one from before", len(records), err)
		}
	})
}

// TestLargestImport: the most that a file may hold comes in, all of it is
// followed, and one more is refused.
func TestLargestImport(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		r := newRig(t, db, Settings{})
		var file strings.Builder
		file.WriteString("name,key\n")
		key := func(i int) string { return fmt.Sprintf("the-key-of-customer-%d", i) }
		for i := range maxImports {
			fmt.Fprintf(&file, "customer,%s\n", key(i))
		}
		began := time.Now()
		if _, err := r.other.Import(t.Context(), readCSV(t, file.String())); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d keys in %s", maxImports, time.Since(began))
		r.poll(t)
		for _, i := range []int{0, maxImports / 2, maxImports - 1} {
			r.want(t, key(i), Valid)
		}
		fmt.Fprintf(&file, "customer,%s\n", key(maxImports))
		if _, err := ReadCSV(strings.NewReader(file.String())); err == nil || !strings.Contains(err.Error(), "10001 keys, at most 10000") {
			t.Errorf("ReadCSV = %v, want too many keys refused", err)
		}
	})
}

func TestImportFilesFaults(t *testing.T) {
	const text = "hunter2-hunter2-hunter2"
	for _, c := range []struct {
		file  string
		lines bool
		want  []string
	}{
		{"", false, []string{"line 1: no line that names the columns"}},
		{"name,key\n", false, []string{"no keys in it"}},
		{"name,secret,name\n", false, []string{`line 1: no such column: "secret"`, "column name is there twice"}},
		{"name,key\nx," + text + "\ny\nz,short\nv,gw_" + text + "\n\n", false,
			[]string{"line 3: wrong number of fields", "line 4: key: 5 bytes, must be 16 to 512", "line 5: key: it begins with gw_"}},
		{"name,key,tenant,permissions\n," + text + ",\xff,\"a,\"\ny," + text + "2,,\nz," + text + "2,,\nv,short,,", false,
			[]string{"line 2: name: missing, every key has one\nline 2: tenant:", "line 2: permissions: \"a,\"", "line 4: the same key as in line 3", "line 5: key: 5 bytes"}},
		{"name,key\nx,\"" + text, false, []string{"line 2: extraneous or missing \" in quoted-field"}},
		{"name,key,sha256\nx," + text + ",aa\ny,,aa\nz,,", false,
			[]string{"line 2: key and sha256: must be one", "line 3: sha256: must be 64", "line 4: key: missing"}},
		{"name,key,expiresAt,labels\nx," + text + ",tomorrow,a=b\nx," + text + ",,a", false, []string{"line 2: expiresAt: must be a time", "line 3: labels: \"a\", must be name=value"}},
		{"name,key\nx,hunter2 hunter2 hunter2", false, []string{"line 2: key: must be printable ASCII without space"}},
		{`{"name": "x", "key": "` + text + `"` + "\n\n" + `{"name": "x", "kye": "` + text + `"}` + "\n[]", true,
			[]string{"line 1: not a JSON object", "line 3: a field that is none of key, sha256", "line 4:"}},
		{`{"name": "x", "key": "` + text + `", "permissions": "a"}`, true, []string{"line 1: permissions: is a string, must be a []string"}},
		{`{"name": "x", "key": "` + text + `", "expiresAt": "` + text + `"}`, true, []string{"line 1: expiresAt: must be a time as"}},
		{`{"name": "x"} {"name": "y"}`, true, []string{"line 1: more than one JSON object"}},
		{"{}\n" + strings.Repeat(" ", maxLineBytes+1), true, []string{"line 1: key: missing", "line 2: longer than"}},
	} {
		read := ReadCSV
		if c.lines {
			read = ReadJSONLines
		}
		_, err := read(strings.NewReader(c.file))
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.60q: %v, want %q", c.file, err, want)
			}
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%.60q: the error repeats the key: %v", c.file, err)
		}
	}
}

func TestJSONLines(t *testing.T) {
	imports, err := ReadJSONLines(strings.NewReader(`{"name": "x", "key": "` + foreign + `", "permissions": ["a"], "labels": {"team": "a"}, "expiresAt": "2999-01-01T00:00:00Z"}
` + `{"name": "y", "sha256": "` + strings.Repeat("0", 64) + `"}`))
	if err != nil || len(imports) != 2 || imports[0].digest != digestOf(foreign) || imports[0].Labels["team"] != "a" || imports[1].Line != 2 {
		t.Errorf("imports %+v, %v", imports, err)
	}
}

func FuzzImportFiles(f *testing.F) {
	f.Add("name,key\nx," + foreign)
	f.Add(`{"name": "x", "key": "` + foreign + `"}`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, read := range []func(string) ([]Import, error){
			func(s string) ([]Import, error) { return ReadCSV(strings.NewReader(s)) },
			func(s string) ([]Import, error) { return ReadJSONLines(strings.NewReader(s)) },
		} {
			imports, err := read(text)
			if err == nil && len(imports) == 0 {
				t.Error("no keys and no fault")
			}
		}
	})
}
