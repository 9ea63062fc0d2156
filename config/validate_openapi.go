package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/gatewright/gatewright/internal/openapi"
)

// maxValidatedBody bounds RouteOpenAPI.MaxBody: Envoy holds the body, and so does the
// gateway while it is judged.
const maxValidatedBody = 1 << 20

// openAPI reads a document, or what it was when it was last good.
func (c *checker) openAPI(at *place, d *OpenAPI) {
	c.name(at, d.Name)
	if d.Document == "" {
		return // decoding has said so
	}
	read := ReadContent
	if c.beside.Read != nil {
		read = c.beside.Read
	}
	fault := c.readOpenAPI(d, read, nil)
	if fault == nil {
		return
	}
	kept := func(path string, _ int) ([]byte, error) {
		if c.beside.Kept != nil {
			if data := c.beside.Kept(path); data != nil {
				return data, nil
			}
		}
		return nil, fault
	}
	if c.readOpenAPI(d, kept, fault) != nil {
		c.obey(at.key("document"), fault.Error())
	}
}

// readOpenAPI fills in what is read of a document, and notes its files. stale is why
// these are not what is in them now.
func (c *checker) readOpenAPI(d *OpenAPI, read openapi.Reader, stale error) error {
	files := map[string][]byte{}
	doc, err := openapi.Load(d.Document, func(path string, most int) ([]byte, error) {
		data, err := read(path, most)
		if err == nil {
			files[path] = data
		}
		return data, err
	})
	if err != nil {
		return err
	}
	v, err := openapi.Compile(doc)
	if err != nil {
		return err
	}
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%d ", len(files[path]))
		h.Write(files[path])
		c.note(Content{Path: path, Data: files[path], Fault: stale})
	}
	d.Validator, d.Sum = v, hex.EncodeToString(h.Sum(nil))
	return nil
}

// routeOpenAPI judges how a route's requests are held to a document.
func (c *checker) routeOpenAPI(at *place, r *Route) {
	o := r.OpenAPI
	exists(c, at.key("document"), "document", o.Document, c.cfg.OpenAPI, new(place).key("openapi"))
	oneOf(c, at.key("validate"), o.Validate, ValidateRequest)
	oneOf(c, at.key("mode"), o.Mode, ValidateEnforce, ValidateShadow)
	c.between(at.key("maxBody"), 0, int64(o.MaxBody), maxValidatedBody)
	c.must(len(r.Upgrades) == 0, at, "must not stand beside upgrades: what is sent over an upgraded connection is no request")
	c.must(r.Match.GRPC == nil, at, "must not stand beside match.grpc: a call has no body of JSON")
}
