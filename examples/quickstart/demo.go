package main

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/demo"
)

// closers are servers that are closed together.
type closers []io.Closer

func (c closers) Close() error {
	var errs []error
	for _, s := range c {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// startDemo starts a backend at each endpoint of the config, and the identity
// provider at the address of each issuer. What it returns is to be closed,
// after an error too.
func startDemo(c *config.Config) (closers, error) {
	var started closers
	start := func(addr string, h http.Handler) error {
		s, err := demo.Start(addr, h)
		if err == nil {
			started = append(started, s)
		}
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Backends)) {
		for _, e := range c.Backends[name].Endpoints {
			if err := start(e.Address, demo.NewBackend(name)); err != nil {
				return started, err
			}
		}
	}
	for _, provider := range c.Auth.JWT {
		issuer, err := url.Parse(provider.Issuer)
		if err != nil {
			return started, err
		}
		p, err := demo.NewIDP(provider.Issuer, time.Now)
		if err != nil {
			return started, err
		}
		if err := start(issuer.Host, p); err != nil {
			return started, err
		}
	}
	return started, nil
}
