// Package wire takes messages of protobuf from the wire, and brings them there,
// without their generated types: to build those only to take them apart again is
// most of what a short call costs.
//
// A Scanner knows what its user asks for and nothing else. Whatever it does not
// know, and every fault, is left to the generated code, which then has the word.
//
// Source: https://protobuf.dev/programming-guides/encoding/
package wire
