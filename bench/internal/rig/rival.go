package rig

import (
	"fmt"
	"strconv"
	"strings"
)

// Rival is a server of somebody else's that runs on this machine. Its name says what
// it is, or how it is set.
type Rival struct {
	PID

	Name, Addr string
}

// Rivals is a flag, which may be given several times: NAME=ADDRESS/PID.
type Rivals []Rival

// String implements flag.Value.
func (l *Rivals) String() string { return fmt.Sprint(len(*l)) }

// Set implements flag.Value.
func (l *Rivals) Set(text string) error {
	name, where, named := strings.Cut(text, "=")
	addr, pid, ok := strings.Cut(where, "/")
	n, err := strconv.Atoi(pid)
	if !named || !ok || err != nil || name == "" || addr == "" || n <= 0 {
		return fmt.Errorf("%q, must be NAME=ADDRESS/PID", text)
	}
	*l = append(*l, Rival{PID: PID(n), Name: name, Addr: addr})
	return nil
}
