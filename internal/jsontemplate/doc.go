// Package jsontemplate makes JSON of JSON: a template is a JSON document in whose
// texts ${…} are expressions of CEL (https://cel.dev) over a body and what is known of
// its request. Templates are compiled and type-checked when a config is loaded, and
// cost a bounded time and space whatever they are given.
//
// What is not named by an expression of arithmetic stays what it was, byte by byte of
// each number: 12345678901234567890, 1.10 and 1e400 are carried as they stand. The
// members of an object stay in their order.
package jsontemplate
