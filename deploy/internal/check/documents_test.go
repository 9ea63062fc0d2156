package check

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

const root = "../../.."

// What readers are told to say themselves: values as the example of an installation
// (deploy/kubernetes/overlays/example) has them.
const (
	exampleRegistry = "registry.example.com"
	exampleVersion  = "1.0.0"
)

// exampleVariable is a variable of the shell of a reader who has followed the documents.
func exampleVariable(name string) string {
	switch name {
	case "REGISTRY":
		return exampleRegistry
	case "VERSION":
		return exampleVersion
	}
	return os.Getenv(name)
}

// ours are the programs whose commands are looked for in documents.
var ours = []string{"docker", "kubectl", "helm"}

// spoken is a call of one of them, as some document says it.
type spoken struct {
	at string // the document
	// program and args are its words, as a shell makes them.
	program string
	args    []string
	// line is the whole line of the shell that it is a part of.
	line string
}

func (c spoken) String() string { return c.at + ": " + c.program + " " + strings.Join(c.args, " ") }

// documented are all commands of the documents, in the order of their names: those in
// blocks and between backticks, and those in the comments of what is deployed.
func documented(t *testing.T) (out []spoken) {
	t.Helper()
	for _, path := range documents(t) {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		scripts := inComments(string(text))
		if strings.HasSuffix(path, ".md") {
			scripts = inMarkdown(string(text))
		}
		for _, script := range scripts {
			out = append(out, commandsIn(t, path, script)...)
		}
	}
	return out
}

func documents(t *testing.T) (out []string) {
	t.Helper()
	for _, at := range []string{"README.md", "CONTRIBUTING.md", "Dockerfile", "docker-compose.yaml", "docs", "deploy", "examples"} {
		err := filepath.WalkDir(filepath.Join(root, at), func(path string, d fs.DirEntry, err error) error {
			if d != nil && d.Name() == "decisions" {
				return fs.SkipDir // they tell of commands, and of such as were not chosen
			}
			if err != nil || d.IsDir() {
				return err
			}
			known := []string{".md", ".yaml", ".yml", ".env", ".conf"}
			if at == "Dockerfile" || slices.Contains(known, filepath.Ext(path)) {
				relative, err := filepath.Rel(root, path)
				out = append(out, relative)
				return err
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

var (
	block  = regexp.MustCompile("(?ms)^```(?:bash|sh|shell|console)?\n(.*?)^```")
	inline = regexp.MustCompile("`([^`\n]+)`")
	// said is a command in a comment: at its beginning or behind a colon, up to what
	// explains it.
	said = regexp.MustCompile(`^\s*#(?:\s*|.*: )((?:docker|kubectl|helm) .+?)(?:\s{3,}.*)?$`)
	// whole is a command between backticks, and not the name of one.
	whole = regexp.MustCompile(`^(?:[A-Z_]+=\S+ )*(?:docker compose|docker|kubectl|helm) (?:\S+ \S|up|down|config)`)
)

func inMarkdown(text string) (scripts []string) {
	for _, m := range block.FindAllStringSubmatch(text, -1) {
		scripts = append(scripts, m[1])
	}
	for _, m := range inline.FindAllStringSubmatch(block.ReplaceAllString(text, ""), -1) {
		if whole.MatchString(m[1]) && !strings.Contains(m[1], "…") {
			scripts = append(scripts, m[1])
		}
	}
	return scripts
}

func inComments(text string) (scripts []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if m := said.FindStringSubmatch(line); m != nil {
			scripts = append(scripts, m[1])
		} else if strings.HasPrefix(strings.TrimSpace(line), "#") {
			scripts = append(scripts, inMarkdown(line)...)
		}
	}
	return scripts
}

// commandsIn are those of a script, wherever in its lines they stand. What is no script,
// as a block that shows a file, has none.
func commandsIn(t *testing.T, at, script string) (out []spoken) {
	t.Helper()
	file, err := syntax.NewParser().Parse(strings.NewReader(script), at)
	if err != nil {
		if regexp.MustCompile(`(?m)^\s*(docker|kubectl|helm) `).MatchString(script) {
			t.Errorf("%v:\n%s", err, script)
		}
		return nil
	}
	for _, line := range file.Stmts {
		syntax.Walk(line, func(n syntax.Node) bool {
			call, ok := n.(*syntax.CallExpr)
			if !ok || len(call.Args) == 0 || !slices.Contains(ours, call.Args[0].Lit()) {
				return true
			}
			words, err := expand.Fields(&expand.Config{
				Env:      expand.FuncEnviron(exampleVariable),
				CmdSubst: func(io.Writer, *syntax.CmdSubst) error { return nil }, // nothing is run to read it
			}, call.Args...)
			if err != nil {
				t.Errorf("%s: %v", at, err)
				return true
			}
			var text strings.Builder
			if err := syntax.NewPrinter().Print(&text, line); err != nil {
				t.Fatal(err)
			}
			out = append(out, spoken{at, words[0], words[1:], text.String()})
			return true
		})
	}
	return out
}
