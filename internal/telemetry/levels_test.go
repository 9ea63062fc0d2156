package telemetry

import (
	"bytes"
	"strings"
	"testing"
)

// TestLevelsByPackage: each package's log has its own, loggers made of it too, and all
// change while they are in use.
func TestLevelsByPackage(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logs, err := NewLogs(Settings{LogLevel: "warn,xds=debug", LogFormat: "text"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	xds, keys, others := logs.Of("xds").With("node", "a"), logs.Of("keys").WithGroup("g"), logs.Of("")
	say := func() string {
		out.Reset()
		xds.Debug("xds-debug")
		keys.Info("keys-info")
		keys.Warn("keys-warn")
		others.Info("others-info")
		others.Error("others-error")
		var said []string
		for line := range strings.Lines(out.String()) {
			_, rest, _ := strings.Cut(line, "msg=")
			said = append(said, strings.Fields(rest)[0])
		}
		return strings.Join(said, " ")
	}
	if got := say(); got != "xds-debug keys-warn others-error" {
		t.Errorf("it says %q", got)
	}
	if err := logs.SetLevels("info,keys=error"); err != nil {
		t.Fatal(err)
	}
	if got := say(); got != "others-info others-error" {
		t.Errorf("changed, it says %q", got)
	}
	if err := logs.SetLevels("debug,keys=loud"); err == nil {
		t.Error("a level that is none is taken")
	}
	if got := say(); got != "others-info others-error" || logs.Levels() != "info,keys=error" {
		t.Errorf("what is refused has changed it: %q, %q", got, logs.Levels())
	}
}

func TestLevelsThatAreNone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                       "want debug, info",
		"loud":                   "want debug, info",
		"info,debug":             "stands first",
		"info,XDS=debug":         "no such package",
		"info,xds=":              "want debug, info",
		"info,=debug":            "no such package",
		"info,xds=info,xds=warn": "xds is there twice",
	} {
		_, err := NewLogs(Settings{LogLevel: text, LogFormat: "text"}, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "GATEWRIGHT_LOG_LEVEL=") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"info", "xds=debug", "WARN, xds=Debug ,keys=error"} {
		if _, err := NewLogs(Settings{LogLevel: text, LogFormat: "json"}, &bytes.Buffer{}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}
