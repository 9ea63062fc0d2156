package rig

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// Main is the main function of a bench: it reads the flags that register has
// registered, and does what measures, until that is interrupted. An error, or an
// argument that is no flag, ends the process with 1.
func Main(register func(*flag.FlagSet), measure func(ctx context.Context) error) {
	register(flag.CommandLine)
	flag.Parse()
	if flag.NArg() > 0 {
		ExitOn(fmt.Errorf("unexpected argument %q", flag.Arg(0)))
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	// A second Ctrl-C ends this process at once, and the kernel its children.
	context.AfterFunc(ctx, cancel)
	ExitOn(measure(ctx))
}

// ExitOn ends the process with 1 where there is an error, and says it.
func ExitOn(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(1)
	}
}

// Write writes a report to a file, or to stdout where the name is empty.
func Write(text, file string, stdout io.Writer) error {
	if file == "" {
		_, err := io.WriteString(stdout, text)
		return err
	}
	return os.WriteFile(file, []byte(text), 0o600)
}
