package main

import (
	"bytes"
	"errors"
	"fmt"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// dial connects to a server that is asked for Checks.
func dial(s *rig.Server, wrong func(reply []byte) error) (*rig.Connection, error) {
	return rig.Dial(s.GRPC, authv3.Authorization_Check_FullMethodName, wrong)
}

// allowed is how the reply begins that lets a request pass: a status that is
// there and is OK.
var allowed = []byte{0x0a, 0x00}

func passes(reply []byte) error {
	if !bytes.HasPrefix(reply, allowed) {
		return fmt.Errorf("a request did not pass: %q", reply)
	}
	return nil
}

func denied(reply []byte) error {
	if bytes.HasPrefix(reply, allowed) {
		return errors.New("a request has passed that must not")
	}
	return nil
}
