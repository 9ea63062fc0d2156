package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// rivalDomain is the domain of rivalConfig.
const rivalDomain = "bench"

// rivalConfig is what envoyproxy/ratelimit is measured with: a limit for each
// user, each tenant and each address, none of which is ever reached.
const rivalConfig = `domain: bench
descriptors:
  - key: user
    rate_limit: {unit: second, requests_per_unit: 50000}
  - key: tenant
    rate_limit: {unit: second, requests_per_unit: 50000}
  - key: client_ip
    rate_limit: {unit: second, requests_per_unit: 50000}
`

// rival is a running envoyproxy/ratelimit. Its name says how it is set.
type rival struct {
	name string
	target
}

// rivalList is a flag.
type rivalList []rival

// String implements flag.Value.
func (l *rivalList) String() string { return fmt.Sprint(len(*l)) }

// Set implements flag.Value.
func (l *rivalList) Set(text string) error {
	name, where, named := strings.Cut(text, "=")
	addr, pid, ok := strings.Cut(where, "/")
	n, err := strconv.Atoi(pid)
	if !named || !ok || err != nil || name == "" || addr == "" || n <= 0 {
		return fmt.Errorf("%q, must be NAME=ADDRESS/PID", text)
	}
	*l = append(*l, rival{name: name, target: target{PID: rig.PID(n), addr: addr}})
	return nil
}
