package check

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	composecli "github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/image"
	"github.com/docker/compose/v5/cmd/compose"
	"github.com/spf13/cobra"
)

// TestDockerCommands: each docker command of the documents is one that docker's own
// commands take, with those flags and so many arguments, and what it names is there: the
// services in the set that it means, the env files, the targets of the Dockerfile. None
// is run: for that, `make engine` starts an engine.
func TestDockerCommands(t *testing.T) {
	seen := 0
	for _, c := range documented(t) {
		if c.program != "docker" {
			continue
		}
		seen++
		if err := checkDocker(t, c.args); err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
	if seen < 12 {
		t.Errorf("the documents have %d docker commands: were they read?", seen)
	}
}

// TestDockerCommandsAreJudged: what would not do is found.
func TestDockerCommandsAreJudged(t *testing.T) {
	for _, line := range []string{
		"compose upp",
		"compose up --no-such-flag",
		"compose up grafana", // of the full set
		"compose --env-file deploy/compose/none.env up",
		"compose exec gatewright",
		"compose exec -T gatewright sh",
		"compose exec -T gateway gatewright status",
		"compose run --rm apply",
		"build -t gatewright --target none .",
		"build -t gatewright",
		"build --tagg x .",
	} {
		if err := checkDocker(t, strings.Fields(line)); err == nil {
			t.Errorf("docker %s is taken", line)
		}
	}
	for _, line := range []string{"compose up redis", "compose --env-file deploy/compose/full.env up grafana", "build -t x --target demo ."} {
		if err := checkDocker(t, strings.Fields(line)); err != nil {
			t.Errorf("docker %s: %v", line, err)
		}
	}
}

// checkDocker judges the words of a docker command.
func checkDocker(t *testing.T, args []string) error {
	t.Helper()
	// A plugin whose commands would double what is compiled here: `make engine` runs them.
	if len(args) > 1 && args[0] == "buildx" && args[1] == "create" {
		return nil
	}
	leaf, words, err := readDocker(t, args)
	if err != nil {
		return err
	}
	if isBuild(leaf) {
		return checkDockerBuild(t, leaf, words)
	}
	return checkServices(t, leaf, words)
}

// isBuild says whether a command is `docker build`, and not that of `docker compose`.
func isBuild(c *cobra.Command) bool { return c.Name() == "build" && !c.Parent().HasParent() }

// readDocker has docker's own commands read the words of one, and returns the command
// that is meant and its words that are no flags.
func readDocker(t *testing.T, args []string) (leaf *cobra.Command, words []string, err error) {
	t.Helper()
	if len(args) > 1 && args[0] == "buildx" { // of `build` it is the same but for --push
		args = slices.DeleteFunc(slices.Clone(args[1:]), func(a string) bool { return a == "--push" })
	}
	cli, err := command.NewDockerCli()
	if err != nil {
		t.Fatal(err)
	}
	docker := &cobra.Command{Use: "docker", TraverseChildren: true}
	docker.AddCommand(compose.RootCommand(cli, nil), image.NewBuildCommand(cli)) //nolint:staticcheck // there is no other way to it
	leaf, rest, err := docker.Traverse(args)
	if err != nil {
		return nil, nil, err
	}
	if leaf == docker {
		return nil, nil, errors.New("no such command")
	}
	if err := leaf.ParseFlags(rest); err != nil {
		return nil, nil, err
	}
	words = leaf.Flags().Args()
	if leaf.HasSubCommands() && len(words) > 0 {
		return nil, nil, fmt.Errorf("%s has no %s", leaf.CommandPath(), words[0])
	}
	return leaf, words, leaf.ValidateArgs(words)
}

func checkDockerBuild(t *testing.T, build *cobra.Command, words []string) error {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, words[0], "Dockerfile")); err != nil {
		return err
	}
	target, err := build.Flags().GetString("target")
	if err != nil || target == "" {
		return err
	}
	for _, s := range stages(t) {
		if s.Name == target {
			return nil
		}
	}
	return fmt.Errorf("the Dockerfile has no target %s", target)
}

// checkServices judges what a command of `docker compose` means: the services that it
// names are in the set that it is about, and what is run in one is there.
func checkServices(t *testing.T, leaf *cobra.Command, words []string) error {
	t.Helper()
	envFiles, err := leaf.Parent().Flags().GetStringArray("env-file")
	if err != nil {
		return err
	}
	project, err := composed(t, envFiles)
	if err != nil {
		return err
	}
	services := words
	switch leaf.Name() {
	case "exec", "run":
		services = words[:1]
	case "up", "down", "config", "logs", "ps", "pull", "build", "restart", "stop":
	default:
		return fmt.Errorf("this test does not know what %s takes", leaf.CommandPath())
	}
	for _, name := range services {
		s, err := project.GetService(name)
		if err != nil {
			return err
		}
		// Our own images have no shell, but their program.
		if leaf.Name() == "exec" && s.Build != nil && words[1] != s.Build.Target {
			return fmt.Errorf("there is no %s in %s", words[1], name)
		}
	}
	return nil
}

func composed(t *testing.T, envFiles []string) (*types.Project, error) {
	t.Helper()
	with := []composecli.ProjectOptionsFn{composecli.WithWorkingDirectory(root)}
	if len(envFiles) > 0 {
		files := make([]string, len(envFiles))
		for i, f := range envFiles {
			files[i] = filepath.Join(root, f)
		}
		with = append(with, composecli.WithEnvFiles(files...), composecli.WithDotEnv)
	}
	options, err := composecli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yaml")}, append(with, composecli.WithDefaultProfiles())...)
	if err != nil {
		return nil, err
	}
	return options.LoadProject(t.Context())
}
