package test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestCommandsInSentences: commands of make, of Go and of Gatewright that documents name
// within a sentence or a table are such as there are: targets, commands, flags and tests.
// (Those of docker, kubectl and Helm are judged beside their own code, in deploy/internal/check.)
func TestCommandsInSentences(t *testing.T) {
	t.Parallel()
	said, help := map[string][]string{}, commandHelp{}
	for _, file := range committedDocuments(t) {
		if file == "CHANGELOG.md" {
			continue // it tells of what was
		}
		for _, command := range commandsInSentences(read(t, filepath.Join("..", file))) {
			said[command] = append(said[command], file)
		}
	}
	kinds := map[string]int{}
	for command, files := range said {
		program, _, _ := strings.Cut(command, " ")
		kinds[program]++
		var err error
		switch program {
		case "make":
			if out := dryMake(t, command); strings.Contains(command, "ARGS=") {
				takesFlags(t, out)
			}
		case "go":
			err = goTestIsThere(command)
		default:
			err = help.takes(command)
		}
		if err != nil {
			t.Errorf("%s: `%s`: %v", strings.Join(files, ", "), command, err)
		}
	}
	if kinds["make"] < 15 || kinds["gatewright"] < 30 || kinds["go"] == 0 {
		t.Errorf("only these were found: %v", kinds)
	}
}

var (
	settingsBefore = regexp.MustCompile(`^([A-Z_]+=\S+ +)+`)
	// A command has a word behind the program's name. Installing a program of others is
	// not ours to try.
	commandShape = regexp.MustCompile(`^(make|gatewright|go test) +\S`)
)

// commandsInSentences are those between backticks, without what is set before them.
func commandsInSentences(page string) (out []string) {
	page = regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(page, "")
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(page, -1) {
		for part := range strings.SplitSeq(m[1], " && ") {
			part = strings.TrimPrefix(settingsBefore.ReplaceAllString(part, ""), "bin/")
			if commandShape.MatchString(part) && !slices.Contains(out, part) {
				out = append(out, part)
			}
		}
	}
	return out
}

// goTestIsThere tells what is wrong with a `go test`: the folder, or the name of a test or benchmark.
func goTestIsThere(command string) error {
	folder := regexp.MustCompile(`\./\w+`).FindString(command)
	name := regexp.MustCompile(`-(?:run|bench) '?(\w+)`).FindStringSubmatch(command)
	if folder == "" || name == nil {
		return errors.New("it says no folder, or no test")
	}
	files, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		code, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if regexp.MustCompile(`(?m)^func (Test|Benchmark)\w*` + strings.TrimPrefix(name[1], "Test")).Match(code) {
			return nil
		}
	}
	return fmt.Errorf("no test or benchmark of that name is in %s", folder)
}

// commandHelp is what `gatewright COMMAND --help` says, by the command.
type commandHelp map[string]string

// of is empty for what is no command.
func (h commandHelp) of(command string) string {
	if _, known := h[command]; !known {
		out, err := exec.Command(filepath.Join(binaries, "gatewright"), append(strings.Fields(command), "--help")...).CombinedOutput()
		if h[command] = string(out); err != nil || !regexp.MustCompile(`\n  gatewright `+command+`( |\n)`).Match(out) {
			h[command] = ""
		}
	}
	return h[command]
}

// takes tells what is wrong with a command: its name, or a flag. Alternatives stand as
// they do in tables, a\|b.
func (h commandHelp) takes(said string) error {
	words := strings.Fields(strings.ReplaceAll(said, `\|`, "|"))[1:]
	for _, first := range strings.Split(words[0], "|") {
		help := h.of(first)
		if help == "" {
			return fmt.Errorf("there is no command %s", first)
		}
		rest := words[1:]
		if strings.Contains(help, "\nAvailable Commands:\n") && len(rest) > 0 {
			for _, second := range strings.Split(rest[0], "|") {
				if help = h.of(first + " " + second); help == "" {
					return fmt.Errorf("there is no command %s %s", first, second)
				}
			}
			rest = rest[1:]
		}
		for _, word := range rest {
			if flag, isFlag := strings.CutPrefix(word, "-"); isFlag && !regexp.MustCompile(`(?m)^ +(-\w, )?-?-`+strings.TrimPrefix(flag, "-")+`\b`).MatchString(help) &&
				!regexp.MustCompile(`(?m)^ +-`+flag+`, `).MatchString(help) {
				return fmt.Errorf("it has no flag %s", word)
			}
		}
	}
	return nil
}
