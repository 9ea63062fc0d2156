package authz

import (
	"math"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protowire"
)

// appendAllowed appends the CheckResponse of a request that passes: what
// proto.Marshal makes of reply(v), in some order of the map's entries.
func appendAllowed(b []byte, v Verdict) []byte {
	b, status := beginMessage(b, 1) // google.rpc.Status: OK is 0, and so is not written
	b = endMessage(b, status)
	b, ok := beginMessage(b, 3)
	b = appendHeaders(b, 2, v.headers)
	b = appendStrings(b, 5, v.removeHeaders)
	b = appendHeaders(b, 6, limitHeaders(v.Limits))
	b = appendStrings(b, 8, v.removeQuery)
	b = endMessage(b, ok)
	b, data := beginMessage(b, 4)
	var room [13]datum
	b = appendStruct(b, metadataOf(room[:0], v, ReasonAllowed))
	return endMessage(b, data)
}

// appendHeaders appends HeaderValueOptions.
func appendHeaders(b []byte, number protowire.Number, headers []header) []byte {
	for _, h := range headers {
		var option, value int
		b, option = beginMessage(b, number)
		b, value = beginMessage(b, 1)
		b = appendText(b, 1, h.name)
		b = appendText(b, 2, validText(h.value))
		b = endMessage(b, value)
		b = protowire.AppendTag(b, 3, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD))
		b = endMessage(b, option)
	}
	return b
}

func appendStrings(b []byte, number protowire.Number, all []string) []byte {
	for _, s := range all {
		b = protowire.AppendTag(b, number, protowire.BytesType)
		b = protowire.AppendString(b, s)
	}
	return b
}

// appendText appends a string, unless it is the one that stands for none.
func appendText(b []byte, number protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	b = protowire.AppendTag(b, number, protowire.BytesType)
	return protowire.AppendString(b, s)
}

// appendStruct appends the fields of a google.protobuf.Struct.
func appendStruct(b []byte, fields []datum) []byte {
	for _, f := range fields {
		var entry, value int
		b, entry = beginMessage(b, 1)
		b = appendText(b, 1, f.name)
		b, value = beginMessage(b, 2)
		switch {
		case f.isNumber:
			b = protowire.AppendTag(b, 2, protowire.Fixed64Type)
			b = protowire.AppendFixed64(b, math.Float64bits(f.number))
		case f.within != nil:
			var inner int
			b, inner = beginMessage(b, 5)
			b = appendStruct(b, f.within)
			b = endMessage(b, inner)
		default: // a value that is set is written, be it empty
			b = protowire.AppendTag(b, 3, protowire.BytesType)
			b = protowire.AppendString(b, f.text)
		}
		b = endMessage(b, value)
		b = endMessage(b, entry)
	}
	return b
}

// beginMessage appends the tag of a message within, and room for a short length.
// endMessage, with where its content begins, writes the length.
func beginMessage(b []byte, number protowire.Number) (out []byte, begin int) {
	b = protowire.AppendTag(b, number, protowire.BytesType)
	b = append(b, 0)
	return b, len(b)
}

func endMessage(b []byte, begin int) []byte {
	n := len(b) - begin
	if n < 1<<7 {
		b[begin-1] = byte(n)
		return b
	}
	var length [10]byte
	return slices.Replace(b, begin-1, begin, protowire.AppendVarint(length[:0], uint64(n))...)
}
