package keys

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestSpecFaults(t *testing.T) {
	long := strings.Repeat("x", maxLabelBytes+1)
	for name, c := range map[string]struct {
		change func(*Spec)
		want   string // in the error; empty is no error
	}{
		"as it should be":      {func(*Spec) {}, ""},
		"name of any letters":  {func(s *Spec) { s.Name = "Zürich 東京" }, ""},
		"longest name":         {func(s *Spec) { s.Name = long[1:] }, ""},
		"no name":              {func(s *Spec) { s.Name = "" }, "name: missing"},
		"long name":            {func(s *Spec) { s.Name = long }, "name: 129 bytes, at most 128"},
		"newline in name":      {func(s *Spec) { s.Name = "a\nb" }, "name: \"a\\nb\", must be printable"},
		"escape in name":       {func(s *Spec) { s.Name = "\x1b[31m" }, "name:"},
		"reversed text":        {func(s *Spec) { s.Name = "a\u202eb" }, "name:"},
		"space around name":    {func(s *Spec) { s.Name = " a" }, "name:"},
		"name not UTF-8":       {func(s *Spec) { s.Name = "\xff" }, "name:"},
		"CRLF in tenant":       {func(s *Spec) { s.Tenant = "a\r\nX-User-ID: root" }, "tenant:"},
		"letters in owner":     {func(s *Spec) { s.Owner = "Jörg" }, "owner:"},
		"long owner":           {func(s *Spec) { s.Owner = long }, "owner: 129 bytes"},
		"comma in permission":  {func(s *Spec) { s.Permissions = []string{"a,b"} }, "permissions: \"a,b\""},
		"space in permission":  {func(s *Spec) { s.Permissions = []string{"a b"} }, "permissions:"},
		"newline in one":       {func(s *Spec) { s.Permissions = []string{"a\n"} }, "permissions:"},
		"empty permission":     {func(s *Spec) { s.Permissions = []string{""} }, "permissions: an empty one"},
		"long permission":      {func(s *Spec) { s.Permissions = []string{long} }, "permissions: one of 129 bytes"},
		"too many permissions": {func(s *Spec) { s.Permissions = slices.Repeat([]string{"a"}, maxPermissions+1) }, "permissions: 65 of them"},
		"expiry now":           {func(s *Spec) { s.ExpiresAt = noon }, "expiry: 2026-03-01T12:00:00Z, must be in the future"},
		"expiry soon":          {func(s *Spec) { s.ExpiresAt = noon.Add(time.Millisecond) }, ""},
		"expiry past JSON":     {func(s *Spec) { s.ExpiresAt = noon.AddDate(9000, 0, 0) }, "expiry: in the year 11026"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := Spec{Name: "partner", Owner: "ops@example.com", Tenant: "acme", Permissions: []string{"users:read"}}
			c.change(&spec)
			err := spec.validate(noon)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("fault: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("fault = %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestSpecFaultsAreAllReported(t *testing.T) {
	err := Spec{Tenant: "\n", Permissions: []string{"", ","}, ExpiresAt: noon.Add(-1)}.validate(noon)
	for _, field := range []string{"name:", "tenant:", "permissions: an empty", "permissions: \",\"", "expiry:"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("faults = %v, want one with %q", err, field)
		}
	}
}

func TestRecordStates(t *testing.T) {
	moment := noon.Add(time.Hour)
	for name, c := range map[string]struct {
		record Record
		now    time.Time
		want   State
	}{
		"neither":               {Record{}, noon, Valid},
		"just before expiry":    {Record{ExpiresAt: moment}, moment.Add(-1), Valid},
		"at expiry":             {Record{ExpiresAt: moment}, moment, Expired},
		"after expiry":          {Record{ExpiresAt: moment}, moment.Add(1), Expired},
		"revoked":               {Record{RevokedAt: noon}, moment, Revoked},
		"revoked, clock behind": {Record{RevokedAt: moment}, noon, Revoked},
		"both":                  {Record{RevokedAt: noon, ExpiresAt: noon}, moment, Revoked},
	} {
		if state := c.record.StateAt(c.now); state != c.want {
			t.Errorf("%s: %s, want %s", name, state, c.want)
		}
	}
}

func TestHasPermissions(t *testing.T) {
	record := Record{Permissions: []string{"orders:write", "users:read"}}
	for _, c := range []struct {
		wanted []string
		want   bool
	}{
		{nil, true},
		{[]string{"users:read"}, true},
		{[]string{"users:read", "orders:write"}, true},
		{[]string{"users:read", "users:write"}, false},
		{[]string{"users"}, false},
		{[]string{""}, false},
	} {
		if got := record.HasPermissions(c.wanted); got != c.want {
			t.Errorf("HasPermissions(%q) = %v, want %v", c.wanted, got, c.want)
		}
	}
}

func TestLabelFaults(t *testing.T) {
	many := map[string]string{}
	for i := range maxLabels + 1 {
		many[strings.Repeat("x", i+1)] = ""
	}
	for want, labels := range map[string]map[string]string{
		"":                                {"team": "billing, north", "tier": ""},
		"labels: 17 of them, at most 16":  many,
		"labels: one without a name":      {"": "x"},
		"labels: \"a=b\", a name must be": {"a=b": "x"},
		"labels: \"a b\", a name must be": {"a b": "x"},
		"labels: team: \"a\\nb\", must":   {"team": "a\nb"},
		"labels: a name of 129 bytes":     {strings.Repeat("x", 129): ""},
	} {
		err := Spec{Name: "x", Labels: labels}.validate(noon)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("fault of %.40v = %v, want %q", labels, err, want)
		}
	}
}
