// Package rig is what the benches of answers have in common: processes that are
// measured, a client that asks them on one connection, and the few numbers that a
// table needs.
package rig
