package openapi

import (
	"errors"
	"strings"
	"testing"
)

// TestLoad: documents that cannot be used, and what is never asked for.
func TestLoad(t *testing.T) {
	const paths = `"info": {"title": "t", "version": "1"}, "paths": {"/a": {"get": {"responses": {"200": {"description": "ok"}}}}}}`
	for text, want := range map[string]string{
		`{"openapi": "3.0.3", ` + paths: "",
		`{"openapi": "3.1.0", ` + paths: "",
		`openapi: 3.1.1
info: {title: t, version: "1"}
paths: {}`: "",
		`{"swagger": "2.0", ` + paths:       "must be an OpenAPI document",
		`{"openapi": "4.0.0", ` + paths:     "must be of 3.0 or 3.1",
		`{"openapi": "3.2.0", ` + paths:     "must be of 3.0 or 3.1",
		`{"openapi": "3.0.3"`:               "",
		`[`:                                 "error",
		`{"openapi": "3.0.3", "paths": {}}`: "info",
		`{"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {"/a": {"$ref": "http://127.0.0.1:1/x.yaml"}}}`:         "must refer to files alone",
		`{"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {"/a": {"$ref": "file://other/x.yaml"}}}`:               "must refer to files alone",
		`{"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {"/a": {"$ref": "missing.yaml"}}}`:                      "no such file",
		`{"openapi": "3.0.3", "info": {"title": "t", "version": "1"}, "paths": {"/a": {"get": {"responses": {"$ref": "#/nowhere"}}}}}`: "error",
	} {
		_, err := Load("doc.yaml", func(path string, _ int) ([]byte, error) {
			if path != "doc.yaml" {
				return nil, errors.New("no such file: " + path)
			}
			return []byte(text), nil
		})
		switch {
		case want == "" && err != nil && !strings.HasSuffix(text, `"3.0.3"`):
			t.Errorf("%s: %v", text, err)
		case want == "error" && err == nil, want != "" && want != "error" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
