package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

func newServe() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve Envoys that are started elsewhere",
		Long: `Serve config, judgement, limits and access logs to Envoys that somebody else
starts, with the bootstrap that ` + "`gatewright bootstrap`" + ` shows. On SIGTERM
/readyz fails, and for GATEWRIGHT_DRAIN_DELAY all is served as before; then Envoys
are told to go to another one, and what they have asked is answered.`,
		Example: `  gatewright serve -c gateway.yaml`,
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := settingsFor(file)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), s)
		},
	}
	configFlag(cmd, &file)
	return cmd
}

func serve(ctx context.Context, s *settings) (err error) {
	svc, err := newService(ctx, s, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, svc.close()) }()
	if err := svc.loadFirst(ctx); err != nil {
		return err
	}
	return svc.runUntilNoticed(ctx, s.envoy.DrainDelay)
}

// runUntilNoticed serves until the context ends, and a while longer, in which /readyz
// fails: whoever leads Envoys to several gateways then leads new connections to another
// one, before the calls of those that are open are told to go there.
func (svc *service) runUntilNoticed(ctx context.Context, delay time.Duration) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	var leaving sync.WaitGroup
	leaving.Go(func() {
		defer stop()
		select {
		case <-ctx.Done():
		case <-serving.Done():
		}
		svc.stopping.Store(true)
		select {
		case <-time.After(delay):
		case <-serving.Done():
		}
	})
	err := svc.run(serving)
	stop()
	leaving.Wait()
	return err
}

// configFlag adds -c to a command.
func configFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "config", "c", "",
		"the config: a file, etcd://HOST/KEY or consul://HOST/KEY (default GATEWRIGHT_CONFIG, or gateway.yaml)")
}

// settingsFor reads the environment; a file on the command line goes before it.
func settingsFor(file string) (*settings, error) {
	s, err := loadSettings()
	if err != nil {
		return nil, err
	}
	if file != "" {
		s.process.Config = file
	}
	return s, nil
}
