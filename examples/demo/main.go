// Command demo is one of the servers around the gateway of docker-compose.yaml: a
// backend, or an identity provider, which SIGNS A TOKEN FOR ANYBODY WHO ASKS.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gatewright/gatewright/internal/demo"
)

const usage = `usage:
  demo -listen ADDRESS backend NAME   a service that tells what it was asked
  demo -listen ADDRESS idp ISSUER     an identity provider that signs tokens for anybody

With OTEL_EXPORTER_OTLP_ENDPOINT in the environment, spans of what is asked, where who
asks has it recorded, go there by OTLP (HTTP).
`

func main() {
	listen := flag.String("listen", "127.0.0.1:9101", "where it listens")
	flag.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *listen, flag.Args())
	stop()
	switch {
	case errors.Is(err, errUsage):
		flag.Usage()
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("want backend NAME or idp ISSUER")

// run serves until the context ends.
func run(ctx context.Context, listen string, args []string) (err error) {
	handler, err := handlerOf(args)
	if err != nil {
		return err
	}
	handler, endSpans, err := demo.Traced(ctx, args[1], handler)
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = errors.Join(err, endSpans(last))
	}()
	s, err := demo.Start(listen, handler)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return s.Close()
}

func handlerOf(args []string) (http.Handler, error) {
	if len(args) != 2 {
		return nil, errUsage
	}
	switch what, name := args[0], args[1]; what {
	case "backend":
		return demo.NewBackend(name), nil
	case "idp":
		return demo.NewIDP(name, time.Now)
	default:
		return nil, errUsage
	}
}
