package tracing

import (
	"strings"
	"testing"
	"time"

	"github.com/gatewright/gatewright/internal/outcome"
)

const (
	aTrace = "0af7651916cd43dd8448eb211c80319c"
	aSpan  = "b7ad6b7169203331"
)

// TestParseTag: what Envoy writes of a request, and what nobody should.
func TestParseTag(t *testing.T) {
	t.Parallel()
	const drawn, passedOver = "80f198ee-5634-9ba8-84fe-8b2a57d3eff7", "80f198ee-5634-4ba8-84fe-8b2a57d3eff7"
	for tag, want := range map[string]struct{ ok, recorded bool }{
		aTrace + " " + aSpan + " 00-" + aTrace + "-" + aSpan + "-01 " + passedOver + " 1764352800.123456": {true, true},
		aTrace + " " + aSpan + " 00-" + aTrace + "-" + aSpan + "-00 " + drawn + " 1764352800.123456":      {true, false},
		aTrace + " " + aSpan + "  " + drawn + " 1764352800.123456":                                        {true, true},
		aTrace + " " + aSpan + "  " + passedOver + " 1764352800.123456":                                   {true, false},
		aTrace + " " + aSpan + " nonsense  1764352800.123456":                                             {true, false},
		aSpan + "    1764352800.123456":                                                                   {true, false},
		"":                                                                                                {},
		"    1764352800.1":                                                                                {},
		aTrace + "    ":                                                                                   {},
		aTrace + "    x":                                                                                  {},
		"zz" + aTrace[2:] + "    1":                                                                       {},
		aTrace + " " + aSpan + " 1 2":                                                                     {},
		aTrace + " a b c d 1":                                                                             {},
	} {
		in, ok := parseTag(tag)
		if ok != want.ok || in.recorded != want.recorded {
			t.Errorf("%q: read %v, recorded %v, want %v", tag, ok, in.recorded, want)
		}
		if ok && (!in.trace.IsValid() || !in.span.IsValid() || in.began != time.UnixMicro(1764352800123456)) {
			t.Errorf("%q is %+v", tag, in)
		}
	}
}

// TestRecorded: an id leads to spans, or it is not given.
func TestRecorded(t *testing.T) {
	t.Parallel()
	const sampled, not = " " + aSpan + " 00-" + aTrace + "-" + aSpan + "-01  1764352800.1", " " + aSpan + " 00-" + aTrace + "-" + aSpan + "-00  1764352800.1"
	withErrors, without := &Tracer{}, &Tracer{}
	withErrors.current.Store(&provider{errors: true})
	for _, c := range []struct {
		by     *Tracer
		tag    string
		status int
		want   string
	}{
		{without, aTrace + sampled, 200, aTrace},
		{without, aSpan + sampled, 200, aSpan}, // of 64 bits
		{without, aTrace + not, 200, ""},
		{without, aTrace + not, 500, ""},
		{withErrors, aTrace + not, 200, ""},
		{withErrors, aTrace + not, 500, aTrace}, // Observe makes a span
		{without, "zz" + aTrace[2:] + sampled, 200, ""},
		{without, strings.Repeat("a", 60) + sampled, 200, ""},
		{without, aTrace, 200, ""},
		{without, "", 200, ""},
	} {
		id, ok := c.by.Recorded(outcome.Outcome{Trace: c.tag, Status: c.status})
		if ok != (c.want != "") || ok && id != c.want {
			t.Errorf("%q with %d: %q, %v, want %q", c.tag, c.status, id, ok, c.want)
		}
	}
}

// TestParseParent takes what Envoys write, and nothing else.
func TestParseParent(t *testing.T) {
	t.Parallel()
	for text, sampled := range map[string]bool{
		"00-" + aTrace + "-" + aSpan + "-01": true,
		"00-" + aTrace + "-" + aSpan + "-00": false,
	} {
		if c, ok := parseParent(text); !ok || c.IsSampled() != sampled || c.TraceID().String() != aTrace || c.SpanID().String() != aSpan || !c.IsRemote() {
			t.Errorf("%s is %v, %v", text, c, ok)
		}
	}
	for _, text := range []string{
		"", "00", "01-" + aTrace + "-" + aSpan + "-01", "00-" + aTrace + "-" + aSpan + "-zz", "00-" + aTrace + "-" + aSpan + "-011",
		"00-" + aTrace + "_" + aSpan + "-01", "00-00000000000000000000000000000000-" + aSpan + "-01", "00-" + aTrace + "-0000000000000000-01",
	} {
		if c, ok := parseParent(text); ok {
			t.Errorf("%q is taken for %v", text, c)
		}
	}
}

// TestFailed: who has failed is gateway or backend, and never a client that has left or
// may not.
func TestFailed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		o    outcome.Outcome
		want bool
	}{
		{outcome.Outcome{Status: 200}, false},
		{outcome.Outcome{Status: 404}, false},
		{outcome.Outcome{Status: 429, Flags: outcome.Denied}, false},
		{outcome.Outcome{Status: 0, Flags: outcome.ClientGone}, false},
		{outcome.Outcome{Status: 200, Flags: outcome.ClientGone | outcome.Reset}, false},
		{outcome.Outcome{Status: 200, Flags: outcome.Reset}, true},
		{outcome.Outcome{Status: 503, Flags: outcome.NoHealthy}, true},
		{outcome.Outcome{Status: 500}, true},
		{outcome.Outcome{Status: 504, Flags: outcome.Timeout}, true},
	} {
		if got := failed(tt.o); got != tt.want {
			t.Errorf("%+v: failed is %v, want %v", tt.o, got, tt.want)
		}
	}
}
