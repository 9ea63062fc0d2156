package config

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBadFiles loads each file of testdata/bad. Its first lines say, after
// "# want: ", every fault it has, without the file's name; and there must be no
// other. A new rule begins with a file here.
func TestBadFiles(t *testing.T) {
	files := glob(t, "testdata/bad/*.yaml")
	if len(files) < 60 {
		t.Fatalf("found %d bad files, and there are more", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			want := wanted(t, file)
			cfg, err := Load(file)
			if cfg != nil {
				t.Error("a config was returned beside the faults")
			}
			var faults Faults
			if !errors.As(err, &faults) {
				t.Fatalf("error is %v, want Faults", err)
			}
			var got []string
			for _, f := range faults {
				got = append(got, strings.TrimPrefix(f.String(), file+":"))
			}
			wantLines(t, got, want)
		})
	}
}

// wanted are the faults that a bad file announces.
func wanted(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		fault, ok := strings.CutPrefix(lines.Text(), "# want: ")
		if !ok {
			break
		}
		want = append(want, fault)
	}
	if len(want) == 0 {
		t.Fatal(`the file does not begin with "# want: "`)
	}
	return want
}

// wantLines compares lists of lines, and shows what only one of them has.
func wantLines(t *testing.T, got, want []string) {
	t.Helper()
	if strings.Join(got, "\n") == strings.Join(want, "\n") {
		return
	}
	for _, line := range without(got, want) {
		t.Errorf("unwanted: %s", line)
	}
	for _, line := range without(want, got) {
		t.Errorf("missing:  %s", line)
	}
	if !t.Failed() {
		t.Errorf("wrong order or number:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func without(lines, others []string) []string {
	known := map[string]bool{}
	for _, o := range others {
		known[o] = true
	}
	var rest []string
	for _, l := range lines {
		if !known[l] {
			rest = append(rest, l)
		}
	}
	return rest
}

func glob(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files at %s (%v)", pattern, err)
	}
	return files
}
