package test

import (
	"slices"
	"strings"
	"testing"
)

// TestBlocksAreFound: blocks are found wherever they stand; what is none is not one, and
// what cannot be told is refused.
func TestBlocksAreFound(t *testing.T) {
	t.Parallel()
	page := strings.ReplaceAll(`# Title
Words:

'''yaml
a: 1

b: 2
'''
- a point

  '''sh
  make run
    more
  '''

    of which this goes on

Words.

    make test

    make run
Words
    that go on.
`, "'''", "```")
	blocks, err := blocksIn("page.md", page)
	want := []block{
		{"page.md", 5, "yaml", "a: 1\n\nb: 2\n"},
		{"page.md", 12, "sh", "make run\n  more\n"},
		{"page.md", 20, "indented", "make test\n\nmake run\n"},
	}
	if err != nil || !slices.Equal(blocks, want) {
		t.Errorf("%+v, %v", blocks, err)
	}
	for _, bad := range []string{"```sh\nmake run\n", "~~~\nmake run\n~~~\n", "<pre>make run</pre>\n", "````md\n````\n", "\tmake run\n"} {
		if blocks, err := blocksIn("page.md", bad); err == nil {
			t.Errorf("%q has the blocks %+v", bad, blocks)
		}
	}
}

// TestLedgerSeesThroughNames: a test that a row names has to be there, and its code has to
// name the document.
func TestLedgerSeesThroughNames(t *testing.T) {
	t.Parallel()
	for _, missing := range []string{"TestNobodyHasWritten", "leastRights"} {
		if words, err := wordsOf("../ratelimit", missing); err == nil {
			t.Errorf("%s is taken for a test, with %q", missing, words)
		}
	}
	words, err := wordsOf("../ratelimit", "TestLeastRights") // by a function that it calls
	if err != nil {
		t.Fatal(err)
	}
	named := func(document string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return meansDocument(word, document) })
	}
	if !named("docs/redis.md") || named("ratelimit/README.md") || named("README.md") {
		t.Errorf("it names %q", words)
	}
}

// TestCommandFaultsAreSeen: each kind of fault in a command of a sentence is.
func TestCommandFaultsAreSeen(t *testing.T) {
	t.Parallel()
	help, makefile := commandHelp{}, "\nrun: build\n\nbuild:\n"
	for command, good := range map[string]bool{
		"gatewright check FILE": true, "gatewright chek FILE": false, "gatewright check --ratelimit FOLDER": true, "gatewright check --limits FOLDER": false,
		`gatewright keys create\|list\|rotate`: true, `gatewright keys create\|lst`: false, "gatewright keys rotate ID --overlap 24h": true, "gatewright run -c FILE": true, "gatewright run -z FILE": false,
	} {
		if err := help.takes(command); (err == nil) != good {
			t.Errorf("%s: %v", command, err)
		}
	}
	for command, good := range map[string]bool{
		"make run": true, "make build run": true, "make rum": false, "make build envoy": false, `make run ARGS="-a b"`: true,
	} {
		if err := makeHas(makefile, command); (err == nil) != good {
			t.Errorf("%s: %v", command, err)
		}
	}
	for command, good := range map[string]bool{
		"go test ./ratelimit -run 'TestAlgorithms'": true, "go test ./ratelimit -run TestAlgoritms": false, "go test -bench RedisTogether ./ratelimit": true, "go test ./nowhere -run Test": false, "go test all": false,
	} {
		if err := goTestIsThere(command); (err == nil) != good {
			t.Errorf("%s: %v", command, err)
		}
	}
	if commands := commandsInSentences("Do `A=b make run`, `bin/gatewright check x && make build`, `make` and\n```\nmake no\n```\n"); !slices.Equal(commands, []string{"make run", "gatewright check x", "make build"}) {
		t.Errorf("these were found: %q", commands)
	}
}
