package importer

import (
	"fmt"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// streaming are the media types of answers that come as long as there is something to
// say, and that no time-out may end.
var streaming = map[string]bool{"text/event-stream": true, "application/x-ndjson": true, "application/jsonl": true, "application/json-seq": true}

// streams tells of an operation that may answer with a stream.
func streams(op *openapi3.Operation) bool {
	for _, answer := range op.Responses.Map() {
		if answer.Value == nil {
			continue
		}
		for media := range answer.Value.Content {
			if streaming[mediaType(media)] {
				return true
			}
		}
	}
	return false
}

// mediaType is one without its parameters.
func mediaType(text string) string {
	base, _, _ := strings.Cut(text, ";")
	return strings.ToLower(strings.TrimSpace(base))
}

// validation holds a route to the document, where that is wanted.
func (i *importing) validation(op *openapi3.Operation, what string) string {
	if i.options.Validate == "" {
		return ""
	}
	if body := op.RequestBody; body != nil && body.Value != nil {
		for media := range body.Value.Content {
			if base := mediaType(media); base != "application/json" && !strings.HasSuffix(base, "+json") {
				i.note("%s: of its bodies that are no JSON nothing but the media type is validated, and they have at most 128 KiB: say openapi.maxBody, or take openapi away for uploads", what)
				break
			}
		}
	}
	return fmt.Sprintf("{document: %s, validate: request, mode: %s}", quoted(i.backend.Name), i.options.Validate)
}

// documentText is the section openapi of what routes are held to.
func (i *importing) documentText() string {
	if i.options.Validate == "" || i.written == 0 {
		return ""
	}
	return "\nopenapi:\n  " + quoted(i.backend.Name) + ": {document: " + quoted(i.options.Document) + "}\n"
}
