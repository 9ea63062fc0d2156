package main

import (
	"fmt"
	"os"
	"strings"
)

// secretFile is a secret that a file may hold instead of the environment, which
// every child of the process and whoever may inspect it can read.
type secretFile struct {
	name string  // of the variable that holds the secret itself
	into *string // what that variable says
	path string  // what the variable NAME_FILE says
}

// readSecrets reads those that files hold. A line's end behind a secret is no part
// of it.
func (s *settings) readSecrets() error {
	for _, f := range []secretFile{
		{"GATEWRIGHT_KEY_SECRET", &s.keys.Secret, s.keys.SecretFile},
		{"GATEWRIGHT_ADMIN_TOKEN", &s.console.Token, s.console.TokenFile},
	} {
		if err := f.read(); err != nil {
			return err
		}
	}
	return nil
}

func (f secretFile) read() error {
	if f.path == "" {
		return nil
	}
	if *f.into != "" {
		return fmt.Errorf("%s and %s_FILE: set one of them", f.name, f.name)
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("%s_FILE: %w", f.name, err)
	}
	if *f.into = strings.TrimRight(string(text), "\r\n"); *f.into == "" {
		// Empty would mean that there is none, which is not what was meant.
		return fmt.Errorf("%s_FILE=%s: the file is empty", f.name, f.path)
	}
	return nil
}
