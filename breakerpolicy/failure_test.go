package breakerpolicy

import (
	"testing"
	"time"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/outcome"
)

// What counts as failure, by default and as a config says it; a client's abort and
// what the gateway has answered itself never count.
func TestFailures(t *testing.T) {
	no := false
	for name, c := range map[string]struct {
		config config.BreakerFailures
		change func(o *outcome.Outcome)
		want   verdict
	}{
		"200":                                  {want: succeeded},
		"404":                                  {change: func(o *outcome.Outcome) { o.Status = 404 }, want: succeeded},
		"404 that counts":                      {config.BreakerFailures{Status: []config.StatusRange{{From: 404, To: 404}}}, func(o *outcome.Outcome) { o.Status = 404 }, failed},
		"500":                                  {change: func(o *outcome.Outcome) { o.Status = 500 }, want: failed},
		"599":                                  {change: func(o *outcome.Outcome) { o.Status = 599 }, want: failed},
		"500 that does not count":              {config.BreakerFailures{Status: []config.StatusRange{{From: 503, To: 503}}}, func(o *outcome.Outcome) { o.Status = 500 }, succeeded},
		"503 of no status":                     {config.BreakerFailures{Status: []config.StatusRange{}}, func(o *outcome.Outcome) { o.Status = 503 }, succeeded},
		"no connection":                        {change: func(o *outcome.Outcome) { o.Status, o.Flags = 503, outcome.ConnectFailure }, want: failed},
		"no connection, which does not count":  {config.BreakerFailures{ConnectFailure: &no}, func(o *outcome.Outcome) { o.Status, o.Flags = 503, outcome.ConnectFailure }, void},
		"no healthy endpoint":                  {change: func(o *outcome.Outcome) { o.Upstream, o.Status, o.Flags = false, 503, outcome.NoHealthy }, want: failed},
		"reset":                                {change: func(o *outcome.Outcome) { o.Status, o.Flags = 502, outcome.Reset }, want: failed},
		"reset after the status":               {change: func(o *outcome.Outcome) { o.Flags = outcome.Reset }, want: failed},
		"reset, which does not count":          {config.BreakerFailures{Reset: &no}, func(o *outcome.Outcome) { o.Status, o.Flags = 502, outcome.Reset }, void},
		"timeout":                              {change: func(o *outcome.Outcome) { o.Status, o.Flags = 504, outcome.Timeout }, want: failed},
		"timeout, which does not count":        {config.BreakerFailures{Timeout: &no}, func(o *outcome.Outcome) { o.Status, o.Flags = 504, outcome.Timeout }, void},
		"the last retry failed by a 503":       {change: func(o *outcome.Outcome) { o.Status, o.Flags = 503, outcome.RetriesExceeded }, want: failed},
		"slow, and no matter":                  {change: func(o *outcome.Outcome) { o.FirstByte = time.Hour }, want: succeeded},
		"slower than the threshold":            {config.BreakerFailures{SlowerThan: config.Duration(time.Second)}, func(o *outcome.Outcome) { o.FirstByte = time.Second + 1 }, failed},
		"just as slow":                         {config.BreakerFailures{SlowerThan: config.Duration(time.Second)}, func(o *outcome.Outcome) { o.FirstByte = time.Second }, succeeded},
		"a long answer that began in time":     {config.BreakerFailures{SlowerThan: config.Duration(time.Second)}, func(o *outcome.Outcome) { o.Duration = time.Hour }, succeeded},
		"the client left before an answer":     {change: func(o *outcome.Outcome) { o.Status, o.Flags, o.FirstByte = 0, outcome.ClientGone, 0 }, want: void},
		"the client left, and the stream ends": {change: func(o *outcome.Outcome) { o.Status, o.Flags, o.FirstByte = 0, outcome.ClientGone|outcome.Reset, 0 }, want: void},
		"the client left in the answer":        {change: func(o *outcome.Outcome) { o.Flags = outcome.ClientGone | outcome.Reset }, want: succeeded},
		"the client left in an error":          {change: func(o *outcome.Outcome) { o.Status, o.Flags = 500, outcome.ClientGone }, want: failed},
		"denied by us":                         {change: func(o *outcome.Outcome) { o.Upstream, o.Status, o.Flags = false, 503, outcome.Denied }, want: void},
		"denied after a backend was picked":    {change: func(o *outcome.Outcome) { o.Status, o.Flags = 429, outcome.Denied }, want: void},
		"too many requests for Envoy's bounds": {change: func(o *outcome.Outcome) { o.FirstByte, o.Status, o.Flags = 0, 503, outcome.Overflow }, want: void},
		"answered by the gateway":              {change: func(o *outcome.Outcome) { o.Upstream, o.FirstByte, o.Status = false, 0, 500 }, want: void},
		"gRPC's ok":                            {change: func(o *outcome.Outcome) { o.GRPCStatus = 0 }, want: succeeded},
		"gRPC's unavailable":                   {change: func(o *outcome.Outcome) { o.GRPCStatus = 14 }, want: failed},
		"gRPC's not-found":                     {change: func(o *outcome.Outcome) { o.GRPCStatus = 5 }, want: succeeded},
		"gRPC's not-found, which counts":       {config.BreakerFailures{GRPCStatus: []config.GRPCStatus{"not-found"}}, func(o *outcome.Outcome) { o.GRPCStatus = 5 }, failed},
		"gRPC's unavailable, which does not":   {config.BreakerFailures{GRPCStatus: []config.GRPCStatus{"not-found"}}, func(o *outcome.Outcome) { o.GRPCStatus = 14 }, succeeded},
	} {
		t.Run(name, func(t *testing.T) {
			o := ended(200)
			o.FirstByte = time.Millisecond
			if c.change != nil {
				c.change(&o)
			}
			f := failuresOf(&c.config)
			equal(t, "verdict", f.judge(&o), c.want)
		})
	}
}
