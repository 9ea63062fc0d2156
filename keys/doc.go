// Package keys makes, keeps and judges the API keys of a gateway.
//
// A key is text that a caller shows (key.go). The database holds its hash and
// what it may do, never the text (store.go). A request asks a Cache (lookup.go),
// which keeps what it has read current by following the database's feed of
// changes: a key revoked by any process stops working in all of them. The
// database is SQLite or PostgreSQL; all but a few words (dialect.go) is the same.
//
// # Bounds
//
// While the database answers, a change made by any process is effective in
// every Cache within 250 ms and the time of one read, and after 1.5 s at most.
// That holds for the first imported key too, before which no text but ours is
// looked up. While it does not answer, keys that are in the Cache go on working for
// Settings.StaleFor, and all others get an error: a denial is never guessed.
// Whatever callers send, a Cache reads the database at most some 200 times a
// second, one read at a time.
package keys
