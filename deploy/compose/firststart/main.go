// Command firststart is what docker-compose.yaml runs before all else: it makes the
// passwords, keys and certificates that the other services use, so that none stands
// in the repository and no two installations have the same.
//
//	firststart secrets FOLDER   a folder for each service, with what that one needs
//	firststart health URL       exit 0 if it answers 200, for images without a shell
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/gatewright/gatewright/internal/health"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "firststart: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("want secrets FOLDER or health URL")
	}
	switch what, where := args[0], args[1]; what {
	case "secrets":
		return makeSecrets(where, rand.Reader, time.Now())
	case "health":
		return health.Check(ctx, where)
	default:
		return fmt.Errorf("%s: want secrets or health", what)
	}
}
