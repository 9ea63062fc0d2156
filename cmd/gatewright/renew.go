package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/certs"
	"github.com/gatewright/gatewright/internal/plan"
	"github.com/gatewright/gatewright/xds"
)

// enter waits for the turn to change what is served: a new config and new
// certificates may come at the same time.
func (svc *service) enter(ctx context.Context) error {
	select {
	case svc.applying <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for an earlier change: %w", ctx.Err())
	}
}

func (svc *service) leave() { <-svc.applying }

// withSecrets are the resources of a plan with what the files hold that its
// listeners and backends name, and with the endpoints that are discovered.
func (svc *service) withSecrets(p *plan.Plan) (*certs.Set, xds.Resources, error) {
	if rule := svc.secretsRule(p.Config); rule != "" {
		return nil, nil, errors.New(rule)
	}
	files, err := svc.certs.Read(p.Config)
	if err != nil {
		return nil, nil, err
	}
	resources, err := p.Resources.With(secrets(files), svc.resources)
	if err != nil {
		return nil, nil, fmt.Errorf("making secrets of certificates: %w", err)
	}
	resources, err = resources.WithEndpoints(p.Config, svc.discovered.Endpoints(p.Config))
	if err != nil {
		return nil, nil, fmt.Errorf("making resources of endpoints: %w", err)
	}
	if placed := p.Placed(); len(placed) > 0 {
		if resources, err = resources.WithPlaced(placed, svc.placedState(p)); err != nil {
			return nil, nil, fmt.Errorf("making filters of policies: %w", err)
		}
	}
	return files, resources, nil
}

// secretsRule says why the certificates of a config could be sent to no Envoy, or
// "". Over a port without TLS each program of the machine could ask for them.
func (svc *service) secretsRule(c *config.Config) string {
	addr := svc.settings.process.GRPCAddr
	where := tlsOf(c)
	if where == "" || svc.ownSocket != nil || svc.settings.door.TLS() || strings.HasPrefix(addr, "unix:") {
		return ""
	}
	return fmt.Sprintf("%s: its certificates and private keys would go over GATEWRIGHT_GRPC_ADDR=%s, where any program of this machine can ask for them: "+
		"use unix:PATH, or set GATEWRIGHT_GRPC_CERT, GATEWRIGHT_GRPC_KEY and GATEWRIGHT_GRPC_CA", where, addr)
}

// tlsOf is the place of the first thing in a config that has certificates, or "".
func tlsOf(c *config.Config) string {
	if i := slices.IndexFunc(c.Listeners, func(l *config.Listener) bool { return l.TLS != nil }); i >= 0 {
		return fmt.Sprintf("listeners[%d].tls (%s)", i, c.Listeners[i].Name)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Backends)) {
		if c.Backends[name].TLS != nil {
			return "backends." + name + ".tls"
		}
	}
	return ""
}

// secrets are certificates as Envoy is given them.
func secrets(files *certs.Set) xds.Secrets {
	var s xds.Secrets
	for name, p := range files.Pairs {
		s.Certificates = append(s.Certificates, xds.CertificateSecret{Name: name, Chain: p.Chain, Key: p.Key})
	}
	for domain, p := range files.Issued {
		s.Issued = append(s.Issued, xds.CertificateSecret{Name: domain, Chain: p.Chain, Key: p.Key})
	}
	for domain, p := range files.Challenges {
		s.Challenges = append(s.Challenges, xds.CertificateSecret{Name: domain, Chain: p.Chain, Key: p.Key})
	}
	for listener, c := range files.Clients {
		s.Clients = append(s.Clients, xds.ClientsSecret{Listener: listener, CA: c.CA, CRL: c.CRL})
	}
	for backend, p := range files.Shown {
		s.Shown = append(s.Shown, xds.CertificateSecret{Name: backend, Chain: p.Chain, Key: p.Key})
	}
	for backend, a := range files.Roots {
		s.Roots = append(s.Roots, xds.RootsSecret{Backend: backend, CA: a.CA})
	}
	return s
}

// renew serves the certificates that are in the files now, and the endpoints that are
// known, to the listeners and backends that
// there are. What cannot be used stays as it was.
func (svc *service) renew(ctx context.Context) {
	if err := svc.serveCertificates(ctx); err != nil && ctx.Err() == nil {
		svc.log.Error("the new certificates or endpoints are not served; those before them are", "error", err)
	}
}

// serveCertificates serves what there is now, and returns when all Envoys have it
// that answer.
func (svc *service) serveCertificates(ctx context.Context) error {
	if err := svc.enter(ctx); err != nil {
		return err
	}
	defer svc.leave()
	p := svc.plan.Load()
	files, resources, err := svc.withSecrets(p)
	if err != nil {
		return err
	}
	if resources.SameBeside(svc.resources) {
		svc.certs.Serve(p.Config, files)
		return nil
	}
	published, err := svc.xds.Publish(ctx, resources)
	if err != nil {
		return err
	}
	svc.resources = resources
	svc.certs.Serve(p.Config, files)
	svc.setAside = published.SetAside
	if len(svc.setAside) > 0 {
		svc.tellSetAside()
	}
	return nil
}
