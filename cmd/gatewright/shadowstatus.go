package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/gatewright/gatewright/authz"
)

// printShadow writes what requirements in shadow have made of requests: a line
// for each route, and one under it for each reason. There is nothing to write
// where none have judged.
func printShadow(w io.Writer, all []authz.ShadowStatus) error {
	if len(all) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "IN SHADOW\tJUDGED\tWOULD DENY\tWOULD ADMIT")
	for _, r := range all {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\n", r.Route, r.Judged, r.WouldDeny, r.WouldAdmit)
		for _, reason := range r.Reasons {
			if reason.Passing > 0 { // the others are denied as it is
				fmt.Fprintf(table, "  %s\t\t%d\t\n", reason.Reason, reason.Passing)
			}
		}
	}
	return table.Flush()
}
