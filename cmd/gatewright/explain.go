package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/authz"
	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/explain"
	"github.com/gatewright/gatewright/internal/pki"
	"github.com/gatewright/gatewright/ratelimit"
)

// explainFlags are the request that is asked about, and what helps to judge it.
type explainFlags struct {
	method, url, clientIP, clientCert, at string
	headers, jwks                         []string
}

func newExplain() *cobra.Command {
	var f explainFlags
	var output string
	cmd := &cobra.Command{
		Use:   "explain FILE",
		Short: "Tell what would become of a request: its route, why no other, what each policy says",
		Long: `Tells which route of a config takes a request and why no other does, what its
requirements and limits say of the request, and what would happen then. Nothing
is asked over the network: tokens are verified where the key set is in the
config, in a file, or named by --jwks, and otherwise judged by all but their
signature. No credential is printed.

Exit codes: 0 a route takes the request, whatever it answers; 1 none does, or
the config has faults; 2 the command line was wrong.`,
		Example: `  gatewright explain gateway.yaml --method GET --url https://api.example.com/users/7?full=1
  gatewright explain gateway.yaml --url https://api.example.com/users/7 \
    --header "Authorization: Bearer $TOKEN" --jwks main=keys.json --at 2026-01-31T12:00:00Z -o json`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, at, err := f.asked()
			if err != nil {
				return usageError{err}
			}
			report, err := explanation(cmd.Context(), args[0], f.jwks, asked, at)
			if err != nil {
				return err
			}
			if output == "json" {
				err = printJSON(cmd.OutOrStdout(), report)
			} else {
				err = report.Write(cmd.OutOrStdout())
			}
			if err == nil && report.Chosen == nil {
				err = errors.New("no route takes the request")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&f.method, "method", "GET", "the request's method")
	cmd.Flags().StringVar(&f.url, "url", "", "the request's URL, as it is sent; required")
	cmd.Flags().StringArrayVar(&f.headers, "header", nil, "a header line, as 'Name: value'; may be repeated")
	cmd.Flags().StringVar(&f.clientIP, "client-ip", "", "the client's address, for limits that count by it")
	cmd.Flags().StringVar(&f.clientCert, "client-cert", "", "the certificate that the client shows, in a file in PEM")
	cmd.Flags().StringVar(&f.at, "at", "", "when the request comes, as 2026-01-31T12:00:00Z; empty is now")
	cmd.Flags().StringArrayVar(&f.jwks, "jwks", nil, "a provider's key set in a file, as NAME=FILE; may be repeated")
	outputFlag(cmd, &output)
	return cmd
}

// asked is the request that the flags say, and when it comes.
func (f *explainFlags) asked() (explain.Asked, time.Time, error) {
	if f.url == "" {
		return explain.Asked{}, time.Time{}, errors.New("--url is missing")
	}
	asked, err := explain.ParseURL(f.url)
	if err != nil {
		return asked, time.Time{}, fmt.Errorf("--url %s: %w", f.url, err)
	}
	asked.Method, asked.ClientIP = f.method, f.clientIP
	for _, line := range f.headers {
		name, value, found := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !found || name == "" {
			// The line is not shown: it may be a credential.
			return asked, time.Time{}, errors.New("--header: want 'Name: value'")
		}
		if strings.EqualFold(name, "host") {
			asked.Host = strings.TrimSpace(value)
			continue
		}
		asked.Headers = append(asked.Headers, [2]string{name, strings.TrimSpace(value)})
	}
	if f.clientCert != "" {
		certificate, err := pki.ReadCertificate(f.clientCert)
		if err != nil {
			return asked, time.Time{}, fmt.Errorf("--client-cert %w", err)
		}
		asked.ClientCertificate = certificate
	}
	at := time.Now()
	if f.at != "" {
		if at, err = time.Parse(time.RFC3339, f.at); err != nil {
			return asked, at, fmt.Errorf("--at %s: want a time as 2026-01-31T12:00:00Z", f.at)
		}
	}
	return asked, at, nil
}

// explanation is the report on a request to the gateway of a config file.
func explanation(ctx context.Context, path string, jwks []string, asked explain.Asked, at time.Time) (explain.Report, error) {
	c, err := config.Load(path)
	if err != nil {
		return explain.Report{}, err
	}
	for _, named := range jwks {
		name, file, _ := strings.Cut(named, "=")
		if c.Auth.JWT[name] == nil || file == "" {
			return explain.Report{}, usageError{fmt.Errorf("--jwks %s: want NAME=FILE, and the name of a JWT provider of the config", named)}
		}
		if c.Auth.JWT[name].SecretEnv != "" {
			return explain.Report{}, usageError{fmt.Errorf("--jwks %s: the provider has a secret and no key set", named)}
		}
		if _, err := os.Stat(file); err != nil {
			return explain.Report{}, fmt.Errorf("reading the key set of %s: %w", name, err)
		}
		c.Auth.JWT[name].JWKS = config.JWKS{File: file}
	}
	keySets := authz.NewKeySets(authz.KeySetsOptions{})
	defer keySets.Close()
	keySets.Ensure(ctx, atHand(c))
	o := explain.Options{Config: c, KeySets: keySets, At: at, ClientIPKey: ratelimit.ClientIPKey}
	return explain.Explain(ctx, o, asked), nil
}

// atHand are the providers whose keys can be read without a network.
func atHand(c *config.Config) []*config.JWT {
	var out []*config.JWT
	for _, p := range c.Auth.JWT {
		if !p.JWKS.IsRemote() {
			out = append(out, p)
		}
	}
	return out
}
