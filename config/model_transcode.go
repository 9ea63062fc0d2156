package config

import "github.com/gatewright/gatewright/internal/transcoding"

// GRPCTranscode serves a gRPC backend to clients of REST: a request of HTTP with
// JSON becomes a call, and the answer JSON again, as the google.api.http
// annotations of the services say
// (https://github.com/googleapis/googleapis/blob/master/google/api/http.proto).
// Calls of gRPC that the route takes go on as they are.
type GRPCTranscode struct {
	// Descriptor is the path of a descriptor set: the services with all that they
	// import, as protoc --include_imports --descriptor_set_out or buf build writes
	// it. The file is watched.
	Descriptor string `yaml:"descriptor" required:"true"`
	// Services are the full names of those that are served, as shop.v1.Orders.
	Services []string `yaml:"services" required:"true"`
	// Unbound also serves each method that has no annotation: by a POST to
	// /SERVICE/METHOD, with the message as its body.
	Unbound bool `yaml:"unbound"`
	// UnknownQuery is what becomes of a request with a query parameter that is no
	// field of the message. The empty string means refuse.
	UnknownQuery UnknownQuery `yaml:"unknownQuery"`
	// IgnoreQuery are parameters that are passed over, and are no fields: those that
	// something else reads.
	IgnoreQuery []string `yaml:"ignoreQuery"`
	// Streams is how the messages of a stream from the backend are written. The empty
	// string means array.
	Streams StreamForm `yaml:"streams"`
	// ProtoNames writes fields as they are named in the .proto, order_id; without
	// it they are written as JSON has them, orderId. Either is read.
	ProtoNames bool `yaml:"protoNames"`
	// EnumNumbers writes the values of enums as numbers, not by their names.
	EnumNumbers bool `yaml:"enumNumbers"`
	// EnumsAnyCase reads the names of the values of enums in small letters, too.
	EnumsAnyCase bool `yaml:"enumsAnyCase"`
	// DefaultValues writes fields that have their default value, which are otherwise
	// left out.
	DefaultValues bool `yaml:"defaultValues"`
	// ErrorDetails has the details of an error (google.rpc.Status) in its answer, of
	// the types that are in the descriptor set.
	ErrorDetails bool `yaml:"errorDetails"`
	// MaxRequest and MaxResponse bound the body of a request and a response in bytes,
	// and of a stream each message: above it a request is a 413 and a response a 500.
	// 0 means 1 MiB and 4 MiB.
	MaxRequest  int `yaml:"maxRequest"`
	MaxResponse int `yaml:"maxResponse"`

	// Set is what was read of Descriptor.
	Set *transcoding.Set `yaml:"-"`
}

// UnknownQuery is what becomes of a query parameter that nothing knows.
type UnknownQuery string

// A request with one is a 400, or it is passed over.
const (
	UnknownQueryRefuse UnknownQuery = "refuse"
	UnknownQueryIgnore UnknownQuery = "ignore"
)

// StreamForm is how several messages of JSON are written one after the other.
type StreamForm string

// As one JSON array, a line each, or as server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
const (
	StreamArray StreamForm = "array"
	StreamLines StreamForm = "lines"
	StreamSSE   StreamForm = "sse"
)

// The bounds of a transcoded message where GRPCTranscode has none.
const (
	DefaultTranscodeRequest  = 1 << 20
	DefaultTranscodeResponse = 4 << 20
)
