package wire

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// BeginMessage appends the tag of a message within, and room for a short length.
// Its content comes behind, from begin on.
func BeginMessage(b []byte, number protowire.Number) (out []byte, begin int) {
	b = protowire.AppendTag(b, number, protowire.BytesType)
	b = append(b, 0)
	return b, len(b)
}

// EndMessage writes the length of the message whose content begins there.
func EndMessage(b []byte, begin int) []byte {
	n := len(b) - begin
	if n < 1<<7 {
		b[begin-1] = byte(n)
		return b
	}
	var length [10]byte
	return slices.Replace(b, begin-1, begin, protowire.AppendVarint(length[:0], uint64(n))...)
}

// AppendStrings appends a repeated field.
func AppendStrings(b []byte, number protowire.Number, all []string) []byte {
	for _, s := range all {
		b = protowire.AppendTag(b, number, protowire.BytesType)
		b = protowire.AppendString(b, s)
	}
	return b
}

// AppendText appends a string, unless it is the one that stands for none.
func AppendText(b []byte, number protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	b = protowire.AppendTag(b, number, protowire.BytesType)
	return protowire.AppendString(b, s)
}
