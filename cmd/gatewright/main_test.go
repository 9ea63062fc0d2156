package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryCommandHasAnExample, as the README promises.
func TestEveryCommandHasAnExample(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if !cmd.HasSubCommands() && cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	for _, c := range newRoot().Commands() {
		visit(c)
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args string
		want int
	}{
		{"version", exitOK},
		{"check ../../examples/quickstart/gateway.yaml", exitOK},
		{"check nothing.yaml", exitFault},
		{"check", exitUsage},
		{"check a b", exitUsage},
		{"check --colour a", exitUsage},
		{"check ../../examples/quickstart/gateway.yaml -o xml", exitUsage},
		{"keys create --ttl -1h", exitUsage},
		{"keys create --name x --label x", exitUsage},
		{"keys list --unused-for -1h", exitUsage},
		{"keys rotate", exitUsage},
		{"keys rotate 0123456789abc --overlap -1h", exitUsage},
		{"keys import keys.txt", exitUsage},
		{"keys import no-such-file.csv", exitFault},
		{"keys audit --limit 0", exitUsage},
		{"dance", exitUsage},
		{"keys dance", exitUsage},
		{"keys", exitOK},
		{"", exitOK},
	} {
		if got := execute(t.Context(), strings.Fields(c.args)); got != c.want {
			t.Errorf("gatewright %s: exit code %d, want %d", c.args, got, c.want)
		}
	}
}
