package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/gatewright/gatewright/internal/plan"
)

// printPlacement writes where policies run, a line for each listener; under it why some
// do not run inside Envoy, and last what is asked about at the moment. There is nothing to
// write where nobody is asked about anything.
func printPlacement(w io.Writer, all []plan.Placement, now []plan.PlacementReason) error {
	var judged []plan.Placement
	for _, p := range all {
		if p.InEnvoy.Routes+p.Asked.Routes > 0 {
			judged = append(judged, p)
		}
	}
	if len(judged) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "LISTENER\tJUDGED IN ENVOY\tASKED ABOUT\tNOT JUDGED")
	for _, p := range judged {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", p.Listener, routesAndPolicies(p.InEnvoy), routesAndPolicies(p.Asked), count(p.Unjudged, "route"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, p := range judged {
		for _, reason := range p.Why {
			fmt.Fprintf(w, "  %s: asked about since %s\n", p.Listener, reasonOfRoutes(reason))
		}
	}
	for _, reason := range now {
		fmt.Fprintf(w, "asked about at the moment, since %s\n", reasonOfRoutes(reason))
	}
	return nil
}

func routesAndPolicies(n plan.RoutesAndPolicies) string {
	if n.Routes == 0 {
		return "none"
	}
	policies := "1 policy"
	if n.Policies != 1 {
		policies = fmt.Sprintf("%d policies", n.Policies)
	}
	return fmt.Sprintf("%s of %s", count(n.Routes, "route"), policies)
}

// reasonOfRoutes is a reason, and the routes that it holds for.
func reasonOfRoutes(r plan.PlacementReason) string {
	names := strings.Join(r.Examples, ", ")
	if more := r.Routes - len(r.Examples); more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return r.Reason + ": " + names
}
