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

	yamlv3 "go.yaml.in/yaml/v3"
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
	kinds, targets := map[string]int{}, read(t, "../Makefile")
	for command, files := range said {
		program, _, _ := strings.Cut(command, " ")
		kinds[program]++
		var err error
		switch program {
		case "make":
			if err = makeHas(targets, command); strings.Contains(command, "ARGS=") {
				takesFlags(t, dryMake(t, command))
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
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(withoutFenced(page), -1) {
		for part := range strings.SplitSeq(m[1], " && ") {
			part = strings.TrimPrefix(settingsBefore.ReplaceAllString(part, ""), "bin/")
			if commandShape.MatchString(part) && !slices.Contains(out, part) {
				out = append(out, part)
			}
		}
	}
	return out
}

// withoutFenced is a page without its fenced blocks.
func withoutFenced(page string) string {
	return regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(page, "")
}

// makeHas tells which target of a command is not in a Makefile.
func makeHas(makefile, command string) error {
	for target := range strings.FieldsSeq(command) {
		if strings.Contains(target, "=") {
			return nil // a setting, which may have spaces within
		}
		if target != "make" && !strings.Contains(makefile, "\n"+target+":") {
			return fmt.Errorf("there is no target %s", target)
		}
	}
	return nil
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

// TestConfigsInSentences: what documents name of configs within a sentence or a table, as
// `placement: service`, has fields of the language, or of one of the other programs that
// documents tell of, and is YAML.
func TestConfigsInSentences(t *testing.T) {
	t.Parallel()
	var schema any
	readYAML(t, "../config/schema.json", &schema)
	fields := fieldsOf(schema, map[string]bool{})
	found := 0
	for _, file := range committedDocuments(t) {
		page := read(t, filepath.Join("..", file))
		for _, m := range regexp.MustCompile("`([a-z]\\w*: [^`\n]+)`").FindAllStringSubmatch(withoutFenced(page), -1) {
			found++
			var shown yamlv3.Node
			said := strings.NewReplacer(`\|`, "|", "…", "etc").Replace(m[1])
			if err := yamlv3.Unmarshal([]byte(said), &shown); err != nil {
				t.Errorf("%s: `%s`: %v", file, m[1], err)
				continue
			}
			for _, unknown := range unknownFields(&shown, fields, false) {
				t.Errorf("%s: `%s`: no language has a field %s", file, m[1], unknown)
			}
		}
	}
	if found < 200 {
		t.Errorf("only %d were found", found)
	}
}

// fieldsOf adds the fields of a JSON Schema: whether their keys are anybody's to choose,
// as those of backends are.
func fieldsOf(schema any, fields map[string]bool) map[string]bool {
	switch s := schema.(type) {
	case map[string]any:
		properties, _ := s["properties"].(map[string]any)
		for name, of := range properties {
			p, _ := of.(map[string]any)
			_, free := p["additionalProperties"].(map[string]any)
			fields[name] = fields[name] || free
		}
		for _, v := range s {
			fieldsOf(v, fields)
		}
	case []any:
		for _, v := range s {
			fieldsOf(v, fields)
		}
	}
	return fields
}

// unknownFields are the keys of what is shown that are in no language; free tells that
// those at the top are anybody's to choose.
func unknownFields(shown *yamlv3.Node, fields map[string]bool, free bool) (out []string) {
	if shown.Kind != yamlv3.MappingNode {
		for _, n := range shown.Content {
			out = append(out, unknownFields(n, fields, free)...)
		}
		return out
	}
	for i := 0; i < len(shown.Content); i += 2 {
		name := shown.Content[i].Value
		choice, ours := fields[name]
		if !free && !ours && !slices.Contains(fieldsOfOthers, name) {
			out = append(out, name)
		}
		out = append(out, unknownFields(shown.Content[i+1], fields, ours && choice)...)
	}
	return out
}

// fieldsOfOthers are those of Envoy, of envoyproxy/ratelimit, of Kubernetes and what runs on
// it, of OpenAPI and API Gateway, of Kong, and of descriptors of gRPC.
var fieldsOfOthers = strings.Fields(`
	failure_mode_deny hits_addend normalize_path merge_slashes path_with_escaped_slashes_action include_peer_certificate
	buffer_flush_interval buffer_size_bytes with_request_body max_request_bytes pack_as_bytes algorithm
	type value queryParams requestHeaderModifier responseHeaderModifier maxUnavailable pathNormalization normalization
	security responseTransferMode connectionType
	enabled limit_by fault_tolerant window_type
	get alg required allow_partial_message filter_enforced
	etc shadow`) // what is left out, and a word of the access log
