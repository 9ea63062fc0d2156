// Package limitfiles reads the configuration files of envoyproxy/ratelimit,
// unchanged: which limit a request's descriptor has.
//
// Read reads the files of a folder into a Table, all of them or none, and every
// fault is told with its file, line, path, value and rule. Table.Find answers for
// one descriptor, as envoyproxy/ratelimit does: at each level the exact value goes
// before the wildcards in their order, and those before the key alone; what is
// decided at one level is not taken back at the next. Follow reads the folder anew
// when it changes.
//
// Two things differ on purpose. Keys and values are compared as pairs, where
// envoyproxy/ratelimit compares them joined by "_", so that ("a", "b_c") is
// ("a_b", "c") there. And what that server reads over in silence is a fault here.
//
// The package knows no protobuf, no gRPC and no counter.
package limitfiles
