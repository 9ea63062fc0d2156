package config

// ErrorBody is the body of errors: of those that the gateway answers with by itself, in
// place of the problem document (RFC 9457) that says what is wrong, or of those of
// backends, in place of whatever they say. Status and headers, as Retry-After, stay; and
// so do answers to calls of gRPC.
type ErrorBody struct {
	// From is whose answers get the body: gateway, backend or any. The empty string means
	// gateway.
	From ErrorOrigin `yaml:"from"`
	// Status are the statuses of the answers: a status, or 4xx or 5xx.
	Status []StatusRange `yaml:"status" required:"true"`
	// Accept is a media type that a request's Accept header must name, as text/html.
	// Empty is for every request.
	Accept string `yaml:"accept"`
	// ContentType is what the body is.
	ContentType string `yaml:"contentType" required:"true"`
	// Body may have variables: ${status}, ${title}, ${reason}, ${detail} and
	// ${request_id}, which are encoded as the content type asks: in HTML and XML, and
	// inside the quotes of JSON. $${ is ${. At most 4096 bytes.
	Body string `yaml:"body" required:"true" text:"true"`
}

// ErrorOrigin is who has answered with an error.
type ErrorOrigin string

// The origins. The empty string means gateway.
const (
	FromGateway ErrorOrigin = "gateway"
	FromBackend ErrorOrigin = "backend"
	FromAny     ErrorOrigin = "any"
)
