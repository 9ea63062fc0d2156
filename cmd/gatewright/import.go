package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/importer"
	"github.com/gatewright/gatewright/internal/openapi"
	"github.com/gatewright/gatewright/internal/wholefile"
)

func newImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Write a config from what another language says of an API",
	}
	group(cmd)
	cmd.AddCommand(newImportOpenAPI())
	return cmd
}

func newImportOpenAPI() *cobra.Command {
	var out, backend, validate string
	var o importer.Options
	cmd := &cobra.Command{
		Use:   "openapi FILE",
		Short: "Write a config from an OpenAPI document: a route for each operation",
		Long: `Write a config from an OpenAPI 3.0 or 3.1 document, in YAML or JSON: a route for each operation, by its
operationId, on the hosts and base paths of its servers, with what its security schemes ask for. What the
document cannot say in this language is told on standard error and in comments, and where in doubt a route is
closed, not open. What is written passes gatewright check.`,
		Example: `  gatewright import openapi shop.yaml --backend shop=http://10.0.0.7:8080 -o gateway.yaml
  gatewright import openapi shop.yaml --issuer https://id.example.com/ --audience api
  gatewright import openapi shop.yaml --backend shop=https://shop.internal --validate shadow \
    --tls-cert edge.crt --tls-key edge.key --client-ca partners-ca.crt`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if backend != "" {
				var rule string
				if o.Backend, rule = importer.ParseBackend(backend); rule != "" {
					return usageError{fmt.Errorf("--backend %s: %s", backend, rule)}
				}
			}
			if rule := o.Listener.Rule(); rule != "" {
				return usageError{fmt.Errorf("--tls-cert and --tls-key %s", rule)}
			}
			switch o.Validate = config.ValidateMode(validate); o.Validate {
			case "", config.ValidateEnforce, config.ValidateShadow:
			default:
				return usageError{fmt.Errorf("--validate %s: must be enforce or shadow", validate)}
			}
			o.Source, o.Document = filepath.Base(args[0]), args[0]
			for _, path := range []*string{&o.Document, &o.Listener.Cert, &o.Listener.Key, &o.Listener.ClientCA} {
				*path = besideConfig(out, *path)
			}
			result, err := importOpenAPI(args[0], out, o)
			if err != nil {
				return err
			}
			for _, note := range result.Notes {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", args[0], note)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s, %s left out\n", args[0], count(result.Routes, "route"), count(result.Left, "operation"))
			if out == "" {
				_, err := cmd.OutOrStdout().Write(result.Config)
				return err
			}
			if err := wholefile.Write(out, result.Config); err != nil {
				return fmt.Errorf("writing the config: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "the file to write; by default standard output")
	cmd.Flags().StringVar(&backend, "backend", "", "NAME=URL of the backend, with http or https (HTTP/1.1), h2c or h2 (HTTP/2), grpc or grpcs; a path of it stands in place of the servers'")
	cmd.Flags().BoolVar(&o.Public, "public", false, "operations of which the document says nothing are for everybody")
	cmd.Flags().StringVar(&o.Issuer, "issuer", "", "who issues tokens, where the document does not say or says another")
	cmd.Flags().StringVar(&o.Audience, "audience", "", "whom tokens must be for")
	cmd.Flags().StringVar(&o.Listener.Cert, "tls-cert", "", "the certificate of the listener; by default it has no TLS")
	cmd.Flags().StringVar(&o.Listener.Key, "tls-key", "", "its key")
	cmd.Flags().StringVar(&o.Listener.ClientCA, "client-ca", "", "the authorities of client certificates, for operations that ask for one (mutualTLS)")
	cmd.Flags().StringVar(&validate, "validate", "", "hold requests to the document: enforce, or shadow, which refuses nothing; by default they are not")
	return cmd
}

// besideConfig is a path as it stands in a config: relative to the folder of that, which
// is the one of the process where the config goes to standard output.
func besideConfig(config, path string) string {
	if path == "" || config == "" || filepath.IsAbs(path) {
		return path
	}
	folder, err := filepath.Abs(filepath.Dir(config))
	if err != nil {
		return path
	}
	whole, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if relative, err := filepath.Rel(folder, whole); err == nil {
		return filepath.ToSlash(relative)
	}
	return whole
}

// importOpenAPI is a document as a config that has no fault where it is written to.
func importOpenAPI(file, out string, o importer.Options) (importer.Result, error) {
	doc, err := openapi.Load(file, config.ReadContent)
	if err != nil {
		return importer.Result{}, fmt.Errorf("%s: %w", file, err)
	}
	result := importer.OpenAPI(doc, o)
	if _, err := config.Parse(cmp.Or(out, "gateway.yaml"), result.Config); err != nil {
		return importer.Result{}, errors.Join(fmt.Errorf("%s cannot be said in this language", file), err)
	}
	return result, nil
}
