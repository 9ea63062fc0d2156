package test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
)

// adminSocket is that of the one Envoy which a gateway with this folder for temporary
// files has started.
func adminSocket(temporary string) (string, error) {
	sockets, err := filepath.Glob(filepath.Join(temporary, "gatewright-envoy-*", "admin.sock"))
	if err != nil {
		return "", err
	}
	if len(sockets) != 1 {
		return "", fmt.Errorf("there are %d admin sockets of Envoys in %s: %v", len(sockets), temporary, sockets)
	}
	return sockets[0], nil
}

// adminClient asks an Envoy by its admin socket, whatever the host of a URL.
func adminClient(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
}
