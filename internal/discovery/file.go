package discovery

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/gatewright/gatewright/config"
)

// watchFile follows a file, whichever way it is replaced.
func watchFile(ctx context.Context, s *source) {
	file := config.NewFileSource(s.said.File, config.WithErrors(func(err error) {
		s.failed(fmt.Errorf("reading %s: %w", s.said.File, errors.Unwrap(err)))
	}))
	_ = file.Watch(ctx, func(data []byte) { // it ends with the context alone
		endpoints, err := config.ParseEndpoints(s.said.File, data, s.judge())
		if err != nil {
			s.failed(err)
			return
		}
		s.answered(endpoints, nil)
	})
}

// ReadFiles are the endpoints that files have now, by backend, for whoever serves
// nothing. The error joins the faults of all files; what is in Consul is not asked for.
func ReadFiles(c *config.Config) (map[string][]*config.Endpoint, error) {
	out := map[string][]*config.Endpoint{}
	var errs []error
	for name, b := range c.Backends {
		if b.Discovery == nil || b.Discovery.File == "" {
			continue
		}
		data, err := os.ReadFile(b.Discovery.File)
		if err == nil {
			out[name], err = config.ParseEndpoints(b.Discovery.File, data, c)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("backends.%s.discovery: %w", name, err))
		}
	}
	return out, errors.Join(errs...)
}
