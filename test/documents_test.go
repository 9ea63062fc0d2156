package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// block is what a document shows in a language that is not its own.
type block struct {
	file string // of the repository, as docs/tls.md
	line int    // of its first line
	// language is what its fence says; of a block that is set in, "indented".
	language string
	text     string
}

func (b block) String() string {
	first, _, _ := strings.Cut(b.text, "\n")
	return fmt.Sprintf("%s:%d (%s): %s", b.file, b.line, b.language, first)
}

// committedDocuments are all Markdown files of the repository, but for what is built and
// what is hidden.
func committedDocuments(t *testing.T) (files []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(".."), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || path == "bin" || path == "dist"):
			return fs.SkipDir
		case !d.IsDir() && filepath.Ext(path) == ".md":
			files = append(files, path)
		}
		return nil
	})
	if err != nil || len(files) < 50 {
		t.Fatalf("there are %d documents, %v", len(files), err)
	}
	return files
}

var (
	fence = regexp.MustCompile("^( *)```([^`]*)$")
	// otherBlock begins a block in Markdown's other ways.
	otherBlock = regexp.MustCompile("^ *(~~~|````|\t|<pre)")
	inList     = regexp.MustCompile(`^ *([-*+]|\d+[.)]) `)
)

// blocksOf are those of a document.
func blocksOf(t *testing.T, file string) []block {
	t.Helper()
	blocks, err := blocksIn(file, read(t, filepath.Join("..", file)))
	if err != nil {
		t.Fatal(err)
	}
	return blocks
}

// blocksIn are those of a page: fenced ones, and those that are set in.
func blocksIn(file, page string) (out []block, err error) {
	lines := strings.Split(page, "\n")
	list, blank := false, true
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if otherBlock.MatchString(line) {
			return nil, fmt.Errorf("%s:%d: a block in a form that is not looked for; documents here have ``` alone", file, i+1)
		}
		switch m := fence.FindStringSubmatch(line); {
		case m != nil:
			b := block{file: file, line: i + 2, language: m[2]}
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "```"; i++ {
				b.text += strings.TrimPrefix(lines[i], m[1]) + "\n"
			}
			if i == len(lines) {
				return nil, fmt.Errorf("%s:%d: a block without an end", file, b.line-1)
			}
			out = append(out, b)
		case blank && !list && strings.HasPrefix(line, "    "):
			b := block{file: file, line: i + 1, language: "indented"}
			for ; i < len(lines) && (strings.HasPrefix(lines[i], "    ") || lines[i] == ""); i++ {
				b.text += strings.TrimPrefix(lines[i], "    ") + "\n"
			}
			i-- // what ended it is looked at, too
			b.text = strings.TrimRight(b.text, "\n") + "\n"
			out = append(out, b)
		}
		switch {
		case inList.MatchString(line):
			list = true
		case line != "" && !strings.HasPrefix(line, " "):
			list = false
		}
		blank = strings.TrimSpace(line) == "" || fence.MatchString(line)
	}
	return out, nil
}

// proof says how far a block is shown to be true.
type proof string

const (
	runs   proof = "run"         // by the program that it is for
	loads  proof = "loaded"      // a config, by the program that it is for
	parses proof = "only parsed" // by the program's own code, and not run
	sample proof = "sample"      // neither a command nor a config
)

// use is what becomes of a block. It has either take or tests.
type use struct {
	proof proof
	// take does it, here.
	take func(t *testing.T, b block)
	// tests do it elsewhere, each "folder TestName". What they call must name the document,
	// or the folder that it is in.
	tests []string
	// needs are the variables of the environment without which they do not.
	needs []string
}

func here(p proof, take func(*testing.T, block)) use { return use{proof: p, take: take} }

func by(p proof, tests ...string) use { return use{proof: p, tests: tests} }

func (u use) with(needs ...string) use {
	u.needs = needs
	return u
}

// TestDocumentBlocks is the ledger of all that documents show, and runs most of it: a block
// of which ledger (in ledger_test.go) does not say what becomes of it fails this, as does a row without its
// block. Nothing is found by what it looks like: rows are in the order of the blocks.
func TestDocumentBlocks(t *testing.T) {
	t.Parallel()
	rows, total := maps.Clone(ledger), map[proof]int{}
	for _, file := range committedDocuments(t) {
		blocks, uses := blocksOf(t, file), rows[file]
		delete(rows, file)
		if len(blocks) != len(uses) {
			t.Errorf("%s shows %d blocks, and the ledger has %d rows for it:", file, len(blocks), len(uses))
			for _, b := range blocks {
				t.Log(b)
			}
			continue
		}
		for i, b := range blocks {
			u := uses[i]
			total[u.proof]++
			t.Run(fmt.Sprintf("%s:%d", file, b.line), func(t *testing.T) {
				t.Parallel()
				u.holds(t, b)
			})
		}
	}
	for file := range rows {
		t.Errorf("the ledger has rows for %s, which is not there", file)
	}
	t.Logf("blocks: %v", total)
}

// holds takes the block, or sees that the tests that are named do.
func (u use) holds(t *testing.T, b block) {
	t.Helper()
	if (u.take == nil) == (len(u.tests) == 0) && u.proof != sample {
		t.Fatalf("%s: the ledger says not what becomes of it", b)
	}
	if u.take != nil {
		u.take(t, b)
	}
	var all []string
	for _, test := range u.tests {
		folder, name, _ := strings.Cut(test, " ")
		words, err := wordsOf(filepath.Join("..", folder), name)
		if err != nil {
			t.Errorf("%s: %v", b, err)
			continue
		}
		if !slices.ContainsFunc(words, func(word string) bool { return meansDocument(word, b.file) }) {
			t.Errorf("%s: nothing in %s names this document", b, test)
		}
		all = append(all, words...)
	}
	for _, variable := range u.needs {
		if !slices.Contains(all, variable) {
			t.Errorf("%s: nothing in %q asks for %s", b, u.tests, variable)
		}
	}
}

// meansDocument tells whether a word of a program is a document's path, its file's name, or the
// folder at the top of all that the program walks.
func meansDocument(word, document string) bool {
	word = strings.TrimPrefix(strings.TrimPrefix(word, "../"), "../")
	folder, _, nested := strings.Cut(document, "/")
	if of, err := filepath.Match(word, document); of && err == nil {
		return true
	}
	return word == filepath.Base(document) && nested && filepath.Base(document) != "README.md" || nested && word == folder
}

// wordsOf are the strings in a test's code, and in all code of its folder, and of what
// tests have in common, that it may call.
func wordsOf(folder, test string) ([]string, error) {
	var files []string
	for _, in := range []string{folder, "../internal/testenv"} {
		found, err := filepath.Glob(filepath.Join(in, "*.go"))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	bodies := map[string][]ast.Node{}
	for _, file := range files {
		parsed, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range parsed.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				bodies[d.Name.Name] = append(bodies[d.Name.Name], d.Body)
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if v, ok := s.(*ast.ValueSpec); ok {
						for _, name := range v.Names {
							bodies[name.Name] = append(bodies[name.Name], v)
						}
					}
				}
			}
		}
	}
	if !strings.HasPrefix(test, "Test") || bodies[test] == nil {
		return nil, fmt.Errorf("there is no %s in %s", test, folder)
	}
	var words []string
	seen, next := map[string]bool{test: true}, []string{test}
	for len(next) > 0 {
		name := next[0]
		next = next[1:]
		for _, body := range bodies[name] {
			ast.Inspect(body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					words = append(words, strings.Trim(n.Value, "\"`"))
				case *ast.Ident:
					if !seen[n.Name] {
						seen[n.Name] = true
						next = append(next, n.Name)
					}
				}
				return true
			})
		}
	}
	return words, nil
}
