package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestReadmeHasEverySetting: the table of settings in the README is the one
// that the program has, with its defaults.
func TestReadmeHasEverySetting(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(GATEWRIGHT_[A-Z_]+)` \\|(.*?)\\|").FindAllStringSubmatch(string(readme), -1) {
		told[row[1]] = strings.Trim(row[2], " `")
	}
	for _, v := range variables() {
		otherwise, ok := told[v.name]
		if !ok {
			t.Errorf("%s is not in the README", v.name)
		}
		if want := shown(v); otherwise != want {
			t.Errorf("%s: the README says its default is %q, the program %q", v.name, otherwise, want)
		}
		delete(told, v.name)
	}
	for name := range told {
		t.Errorf("%s is in the README and nowhere else", name)
	}
}

// shown is a default as the README writes it: with the zero value of numbers
// and booleans said.
func shown(v variable) string {
	switch {
	case v.otherwise != "":
		return v.otherwise
	case v.kind == "int":
		return "0"
	case v.kind == "bool":
		return "false"
	default:
		return ""
	}
}

func TestSettingsExplainWhatIsWrong(t *testing.T) {
	t.Setenv("GATEWRIGHT_ENVOY_CONCURRENCY", "many")
	_, err := loadSettings()
	if err == nil || !strings.Contains(err.Error(), "GATEWRIGHT_ENVOY_CONCURRENCY=many: want a value of type int") {
		t.Errorf("got %v", err)
	}
}

// TestNothingElseIsRead: a variable without our prefix, which other programs
// use too, must not set anything.
func TestNothingElseIsRead(t *testing.T) {
	t.Setenv("REDIS_URL", "redis://somebody.else:6379")
	t.Setenv("LOG_LEVEL", "debug")
	s, err := loadSettings()
	if err != nil {
		t.Fatal(err)
	}
	if s.ratelimit.RedisURL != "" || s.telemetry.LogLevel != "info" {
		t.Errorf("read from variables that are not ours: %+v %+v", s.ratelimit, s.telemetry)
	}
}

func TestMisspeltSettingsAreSeen(t *testing.T) {
	t.Setenv("GATEWRIGHT_REDIS_UR", "redis://x")
	if got := unknownSettings(); !slices.Contains(got, "GATEWRIGHT_REDIS_UR") {
		t.Errorf("it is not in %v", got)
	}
	t.Setenv("GATEWRIGHT_REDIS_URL", "redis://x")
	if got := unknownSettings(); slices.Contains(got, "GATEWRIGHT_REDIS_URL") {
		t.Errorf("a setting that exists is in %v", got)
	}
}
