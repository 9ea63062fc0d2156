package main

import (
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
	var out, backend string
	var o importer.Options
	cmd := &cobra.Command{
		Use:   "openapi FILE",
		Short: "Write a config from an OpenAPI document: a route for each operation",
		Long: `Write a config from an OpenAPI 3.0 or 3.1 document, in YAML or JSON: a route for each operation, by its
operationId, on the hosts and base paths of its servers, with what its security schemes ask for. What the
document cannot say in this language is told on standard error and in comments, and where in doubt a route is
closed, not open. What is written passes gatewright check.`,
		Example: `  gatewright import openapi shop.yaml --backend shop=http://10.0.0.7:8080 -o gateway.yaml
  gatewright import openapi shop.yaml --issuer https://id.example.com/ --audience api`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if backend != "" {
				var rule string
				if o.Backend, rule = importer.ParseBackend(backend); rule != "" {
					return usageError{fmt.Errorf("--backend %s: %s", backend, rule)}
				}
			}
			o.Source = filepath.Base(args[0])
			result, err := importOpenAPI(args[0], o)
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
	cmd.Flags().StringVar(&backend, "backend", "", "NAME=URL of the backend, with http (HTTP/1.1), h2c (HTTP/2) or grpc; a path of it stands in place of the servers'")
	cmd.Flags().BoolVar(&o.Public, "public", false, "operations of which the document says nothing are for everybody")
	cmd.Flags().StringVar(&o.Issuer, "issuer", "", "who issues tokens, where the document does not say or says another")
	cmd.Flags().StringVar(&o.Audience, "audience", "", "whom tokens must be for")
	return cmd
}

// importOpenAPI is a document as a config that has no fault.
func importOpenAPI(file string, o importer.Options) (importer.Result, error) {
	doc, err := openapi.Load(file, config.ReadContent)
	if err != nil {
		return importer.Result{}, fmt.Errorf("%s: %w", file, err)
	}
	result := importer.OpenAPI(doc, o)
	if _, err := config.Parse("gateway.yaml", result.Config); err != nil {
		return importer.Result{}, errors.Join(fmt.Errorf("%s cannot be said in this language", file), err)
	}
	return result, nil
}
