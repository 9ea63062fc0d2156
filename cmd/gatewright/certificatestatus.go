package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gatewright/gatewright/internal/certs"
)

// printCertificates shows how the certificates of listeners, and those for backends,
// stand.
func printCertificates(w io.Writer, all []certs.Status) error {
	if len(all) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CERTIFICATE\tLISTENERS, BACKEND\tFOR\tSTATE")
	for _, c := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", oneLine(certificateName(c)),
			cmp.Or(c.Backend, strings.Join(c.Listeners, ", ")), oneLine(cmp.Or(strings.Join(c.Names, ", "), "-")), certificateState(c, time.Now()))
	}
	return table.Flush()
}

func certificateName(c certs.Status) string {
	switch {
	case c.Certificate != "":
		return c.Certificate
	case c.Backend != "":
		return "authorities of the backend"
	}
	return "authorities for clients"
}

// certificateState is until when a certificate is good, and what is wrong with
// the one that is to follow it.
func certificateState(c certs.Status, now time.Time) string {
	state := "until " + date(c.NotAfter)
	switch {
	case c.NotAfter.IsZero():
		state = "those that this machine trusts"
	case now.After(c.NotAfter):
		state = "expired on " + date(c.NotAfter)
	}
	if c.StandIn {
		state = "not obtained yet: a stand-in is served, which no client takes"
	}
	switch {
	case c.Fault == "":
	case c.ACME:
		state += "; not obtained: " + oneLine(c.Fault)
	default:
		state += "; what is in the files now is not served: " + oneLine(c.Fault)
	}
	return state
}
