package authz

import (
	"math"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gatewright/gatewright/internal/wire"
)

// appendAllowed appends the CheckResponse of a request that passes: what
// proto.Marshal makes of reply(v), in some order of the map's entries.
func appendAllowed(b []byte, v Verdict) []byte {
	b, status := wire.BeginMessage(b, 1) // google.rpc.Status: OK is 0, and so is not written
	b = wire.EndMessage(b, status)
	b, ok := wire.BeginMessage(b, 3)
	b = appendHeaders(b, 2, v.headers)
	b = wire.AppendStrings(b, 5, v.removeHeaders)
	b = appendHeaders(b, 6, limitHeaders(v))
	b = wire.AppendStrings(b, 8, v.removeQuery)
	b = wire.EndMessage(b, ok)
	b, data := wire.BeginMessage(b, 4)
	var room [20]datum
	b = appendStruct(b, metadataOf(room[:0], v, ReasonAllowed))
	return wire.EndMessage(b, data)
}

// appendHeaders appends HeaderValueOptions.
func appendHeaders(b []byte, number protowire.Number, headers []header) []byte {
	for _, h := range headers {
		var option, value int
		b, option = wire.BeginMessage(b, number)
		b, value = wire.BeginMessage(b, 1)
		b = wire.AppendText(b, 1, h.name)
		b = wire.AppendText(b, 2, validText(h.value))
		b = wire.EndMessage(b, value)
		b = protowire.AppendTag(b, 3, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD))
		b = wire.EndMessage(b, option)
	}
	return b
}

// appendStruct appends the fields of a google.protobuf.Struct.
func appendStruct(b []byte, fields []datum) []byte {
	for _, f := range fields {
		var entry, value int
		b, entry = wire.BeginMessage(b, 1)
		b = wire.AppendText(b, 1, f.name)
		b, value = wire.BeginMessage(b, 2)
		switch {
		case f.isNumber:
			b = protowire.AppendTag(b, 2, protowire.Fixed64Type)
			b = protowire.AppendFixed64(b, math.Float64bits(f.number))
		case f.within != nil:
			var inner int
			b, inner = wire.BeginMessage(b, 5)
			b = appendStruct(b, f.within)
			b = wire.EndMessage(b, inner)
		default: // a value that is set is written, be it empty
			b = protowire.AppendTag(b, 3, protowire.BytesType)
			b = protowire.AppendString(b, f.text)
		}
		b = wire.EndMessage(b, value)
		b = wire.EndMessage(b, entry)
	}
	return b
}
