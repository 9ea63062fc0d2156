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

	// With are the processes that it works with, as the Redis that it counts in: what
	// they run for is its CPU, too.
	With []PID

	Name, Addr string
}

// PIDs are all of its processes, its own first.
func (r Rival) PIDs() []PID { return append([]PID{r.PID}, r.With...) }

// Rivals is a flag, which may be given several times: NAME=ADDRESS/PID, where PIDs of
// what the rival works with may follow, each after a comma.
type Rivals []Rival

// String implements flag.Value.
func (l *Rivals) String() string { return fmt.Sprint(len(*l)) }

// Set implements flag.Value.
func (l *Rivals) Set(text string) error {
	name, where, named := strings.Cut(text, "=")
	addr, list, ok := strings.Cut(where, "/")
	pids, err := pidsOf(list)
	if !named || !ok || err != nil || name == "" || addr == "" {
		return fmt.Errorf("%q, must be NAME=ADDRESS/PID[,PID...]", text)
	}
	*l = append(*l, Rival{PID: pids[0], With: pids[1:], Name: name, Addr: addr})
	return nil
}

// pidsOf reads PIDs with commas between them, of which there is at least one.
func pidsOf(list string) ([]PID, error) {
	var pids []PID
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("%q is no process", text)
		}
		pids = append(pids, PID(n))
	}
	return pids, nil
}
