package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/gatewright/gatewright/envoy"
	"github.com/gatewright/gatewright/xds"
)

func newRun() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the whole gateway: Gatewright, and an Envoy that it starts and watches",
		Long: `Run the whole gateway in one command: Gatewright, and one Envoy as its child,
which is started again when it dies. Access logs go to standard output, one JSON
object a request; everything else goes to standard error. The child reaches this
process by a private Unix socket; GATEWRIGHT_GRPC_ADDR is for other Envoys.

On SIGINT or SIGTERM, /readyz fails and clients are told to leave; after
GATEWRIGHT_DRAIN_DELAY Envoy takes no new connections, requests in flight are
waited for (GATEWRIGHT_DRAIN_TIMEOUT), and then both end.`,
		Example: `  gatewright run -c gateway.yaml
  GATEWRIGHT_REDIS_URL=redis://127.0.0.1:6379 gatewright run -c gateway.yaml`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := settingsFor(file)
			if err != nil {
				return err
			}
			return runGateway(cmd.Context(), s)
		},
	}
	configFlag(cmd, &file)
	return cmd
}

// runGateway runs the service and an Envoy, and ends them in that order: first
// Envoy, which needs the service to judge the requests it still has.
func runGateway(ctx context.Context, s *settings) (err error) {
	binary, err := envoy.Find(s.envoy.Binary, ".")
	if err != nil {
		return err
	}
	var child envoyReadiness
	svc, err := newService(ctx, s, child.check)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, svc.close()) }()
	control, err := svc.controlForChild()
	if err != nil {
		return err
	}
	if err := svc.loadFirst(ctx); err != nil {
		return err
	}
	if err := freeForEnvoy(svc.plan.Load().Config.Listeners); err != nil {
		return err
	}
	overload, err := s.envoy.overload(svc.log)
	if err != nil {
		return err
	}
	process, err := envoy.NewProcess(envoy.ProcessOptions{
		Binary: binary,
		Bootstrap: envoy.BootstrapOptions{
			NodeID: s.envoy.NodeID, ControlCluster: xds.ControlCluster, CallCluster: xds.CallCluster, EnvoysCluster: xds.EnvoysCluster, ControlAddr: control,
			Overload: overload,
		},
		Concurrency:   s.envoy.Concurrency,
		DrainDelay:    s.envoy.DrainDelay,
		DrainTimeout:  s.envoy.DrainTimeout,
		ListenerDrain: s.envoy.ListenerDrain,
		Stdout:        os.Stdout,
		Stderr:        os.Stderr,
		Log:           svc.logs.Of("envoy"),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, process.Close()) }()
	child.admin.Store(process.Admin())
	return runBoth(ctx, svc, process)
}

// controlForChild is where the Envoy that is started here reaches the service: a
// Unix socket in any case, over which it may be given private keys. Call it before
// loadFirst.
func (svc *service) controlForChild() (addr string, err error) {
	if strings.HasPrefix(svc.settings.process.GRPCAddr, "unix:") {
		return svc.settings.process.GRPCAddr, nil
	}
	if svc.ownSocket, err = newOwnSocket(); err != nil {
		return "", err
	}
	return svc.ownSocket.addr(), nil
}

// runBoth ends the service when Envoy has ended, for whatever reason, and
// Envoy when the service has.
func runBoth(ctx context.Context, svc *service, process *envoy.Process) error {
	serviceCtx, stopService := context.WithCancel(context.WithoutCancel(ctx))
	defer stopService()
	group, envoyCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return svc.run(serviceCtx) })
	group.Go(func() error {
		defer stopService()
		return process.Run(envoyCtx)
	})
	group.Go(func() error {
		if process.Admin().WaitReady(envoyCtx) == nil {
			svc.log.Info("the gateway is ready", "listeners", listenerAddresses(svc))
		}
		return nil
	})
	group.Go(func() error {
		<-envoyCtx.Done()
		svc.stopping.Store(true)
		return nil
	})
	return group.Wait()
}

func listenerAddresses(svc *service) []string {
	var out []string
	for _, l := range svc.plan.Load().Config.Listeners {
		out = append(out, l.Name+"="+l.Address)
	}
	return out
}

// envoyReadiness tells whether the child is live.
type envoyReadiness struct{ admin atomic.Pointer[envoy.Admin] }

func (e *envoyReadiness) check() error {
	admin := e.admin.Load()
	if admin == nil {
		return errors.New("envoy is not started yet")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := admin.Ready(ctx); err != nil {
		return fmt.Errorf("envoy is not live: %w", err)
	}
	return nil
}
