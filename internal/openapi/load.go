// Package openapi reads OpenAPI documents: strictly, from local files alone, and
// within bounds. It knows no Envoy and no config.
package openapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

const (
	// MaxFile bounds a file of a document in bytes. The largest public ones have some
	// 10 MiB.
	MaxFile = 16 << 20
	// maxFiles bounds how many files a document has.
	maxFiles = 500
)

// Reader reads a file, of which not more than most bytes are wanted.
type Reader func(path string, most int) ([]byte, error)

// Load reads a document of OpenAPI 3.0 or 3.1, in YAML or JSON, with the files that
// it refers to. What is on the network is not asked for.
func Load(path string, read Reader) (*openapi3.T, error) {
	files := 0
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true
	loader.ReadFromURIFunc = func(_ *openapi3.Loader, location *url.URL) ([]byte, error) {
		if files++; files > maxFiles {
			return nil, fmt.Errorf("has more than %d files", maxFiles)
		}
		return readLocal(read, location)
	}
	doc, err := loader.LoadFromURI(&url.URL{Path: filepath.ToSlash(path)})
	if err != nil {
		return nil, plain(err)
	}
	switch {
	case doc.OpenAPI == "":
		return nil, errors.New("must be an OpenAPI document: it has no field openapi (Swagger 2.0 must be converted first)")
	case !strings.HasPrefix(doc.OpenAPI, "3.0.") && !strings.HasPrefix(doc.OpenAPI, "3.1.") && doc.OpenAPI != "3.0" && doc.OpenAPI != "3.1":
		return nil, fmt.Errorf("is of OpenAPI %s, must be of 3.0 or 3.1", doc.OpenAPI)
	}
	// Examples decide nothing here, and are wrong in many documents.
	if err := doc.Validate(context.Background(), openapi3.DisableExamplesValidation()); err != nil {
		return nil, plain(err)
	}
	return doc, nil
}

func readLocal(read Reader, location *url.URL) ([]byte, error) {
	if location.Scheme != "" || location.Host != "" {
		return nil, fmt.Errorf("refers to %s, must refer to files alone", location.Redacted())
	}
	data, err := read(filepath.FromSlash(location.Path), MaxFile)
	if err != nil {
		return nil, err
	}
	return bytes.TrimPrefix(data, []byte("\uFEFF")), nil
}

// maxFault bounds what is said of a fault: the library quotes whole schemas.
const maxFault = 300

// plain is an error in one line.
func plain(err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > maxFault {
		text = strings.ToValidUTF8(text[:maxFault], "") + "…"
	}
	return errors.New(text)
}
