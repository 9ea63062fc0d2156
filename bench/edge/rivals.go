package main

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatewright/gatewright/bench/internal/rig"
)

// What rivals are to be told before they are measured: the same policy.
var (
	//go:embed rival/opa.rego
	opaPolicy string
	//go:embed rival/ratelimit.yaml
	ratelimitConfig string
)

// The values of -print.
const (
	printJWKS      = "jwks"
	printOPA       = "opa"
	printRatelimit = "ratelimit"
)

// printed is what -print says.
func (o options) printed() (string, error) {
	if err := o.validateRivals(); err != nil {
		return "", err
	}
	if o.print == printRatelimit {
		return ratelimitConfig, nil
	}
	issuer, err := o.issuer()
	if err != nil {
		return "", err
	}
	if o.print == printJWKS {
		return string(issuer.JWKS) + "\n", nil
	}
	return strings.NewReplacer("JWKS", string(issuer.JWKS), "ISSUER", rig.IssuerName).Replace(opaPolicy), nil
}

// issuer is who signs the tokens.
func (o options) issuer() (*rig.Issuer, error) {
	if o.key == "" {
		return rig.NewIssuer()
	}
	return rig.KeptIssuer(o.key)
}

// validateRivals says what lacks for rivals to judge the same tokens.
func (o options) validateRivals() error {
	if !slices.Contains([]string{"", printJWKS, printOPA, printRatelimit}, o.print) {
		return fmt.Errorf("-print %s: must be %s, %s or %s", o.print, printJWKS, printOPA, printRatelimit)
	}
	if o.key == "" && (len(o.authz) > 0 || o.print == printJWKS || o.print == printOPA) {
		return errors.New("-key is missing: a rival that judges tokens must know the keys before")
	}
	return nil
}

// startRivals starts the rows of the rivals: Envoy's own filters, each server by itself,
// and each that judges with each that counts.
func (b *bench) startRivals() error {
	filters := verifying(b.issuer.JWKS)
	if err := b.startPlain(filters, &row{what: byFilters, identity: true}); err != nil {
		return err
	}
	if err := b.startPlain(filters.and(countedInEnvoy()), &row{what: limitByFilters, identity: true, counted: true}); err != nil {
		return err
	}
	for _, judge := range b.authz {
		r := &row{what: "JWT, scope and claims by " + judge.Name, beside: judge.PIDs(), identity: true}
		if err := b.startPlain(askedOf(judge.Addr), r); err != nil {
			return err
		}
	}
	for _, counter := range b.ratelimit {
		r := &row{what: byFilters + ", a limit of each user by " + counter.Name, beside: counter.PIDs(), identity: true, counted: true}
		if err := b.startPlain(filters.and(countedBy(counter.Addr)), r); err != nil {
			return err
		}
	}
	for _, judge := range b.authz {
		for _, counter := range b.ratelimit {
			r := &row{what: "JWT, scope and claims by " + judge.Name + ", a limit of each user by " + counter.Name,
				beside: append(judge.PIDs(), counter.PIDs()...), identity: true, counted: true}
			if err := b.startPlain(askedOf(judge.Addr).and(countedBy(counter.Addr)), r); err != nil {
				return err
			}
		}
	}
	return nil
}
