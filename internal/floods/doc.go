// Package floods is what hostile clients do to a listener by HTTP/1.1, HTTP/2 and HTTP/3:
// for the tests that hold the gateway to a bound (test/floods_test.go), and for the bench that
// measures what others feel of it (bench/floods).
package floods
