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

// printCertificates shows how the certificates of listeners stand.
func printCertificates(w io.Writer, all []certs.Status) error {
	if len(all) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CERTIFICATE\tLISTENERS\tFOR\tSTATE")
	for _, c := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", oneLine(cmp.Or(c.Certificate, "authorities for clients")),
			strings.Join(c.Listeners, ", "), oneLine(cmp.Or(strings.Join(c.Names, ", "), "-")), certificateState(c, time.Now()))
	}
	return table.Flush()
}

// certificateState is until when a certificate is good, and what is wrong with
// the one that is to follow it.
func certificateState(c certs.Status, now time.Time) string {
	state := "until " + date(c.NotAfter)
	if now.After(c.NotAfter) {
		state = "expired on " + date(c.NotAfter)
	}
	if c.Fault != "" {
		state += "; what is in the files now is not served: " + oneLine(c.Fault)
	}
	return state
}
