package check

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

const dashboardFile = "deploy/grafana/dashboards/gatewright.json"

// TestDashboardSchema: the dashboard is one by Grafana's own schema, of which nothing is
// left out and to which nothing is added, down to the options of each panel and its
// queries; and it hangs together.
func TestDashboardSchema(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, dashboardFile))
	if err != nil {
		t.Fatal(err)
	}
	d, err := strictDashboard(text)
	if err != nil {
		t.Fatal(err)
	}
	variables := map[string]bool{"__rate_interval": true}
	for _, v := range d.Templating.List {
		variables[v.Name] = true
	}
	for _, m := range regexp.MustCompile(`\$\{?([A-Za-z_]+)`).FindAllStringSubmatch(string(text), -1) {
		if !variables[m[1]] {
			t.Errorf("the variable %s is nowhere defined", m[1])
		}
	}
	known := map[string]bool{
		units.Short: true, units.Percent: true, units.PercentUnit: true, units.Seconds: true,
		units.RequestsPerSecond: true, units.OpsPerSecond: true, units.BytesIEC: true,
	}
	ids, taken := map[uint32]bool{}, map[[2]uint32]string{}
	for _, entry := range d.Panels {
		if entry.RowPanel != nil {
			claim(t, taken, entry.RowPanel.GridPos, *entry.RowPanel.Title)
			continue
		}
		p := entry.Panel
		if ids[*p.Id] {
			t.Errorf("%s has an id that another panel has", *p.Title)
		}
		ids[*p.Id] = true
		claim(t, taken, p.GridPos, *p.Title)
		// The schema knows the options of these, and takes any for others.
		if p.Type != "stat" && p.Type != "timeseries" {
			t.Errorf("%s is a %s, whose options nobody has judged", *p.Title, p.Type)
		}
		if unit := p.FieldConfig.Defaults.Unit; unit != nil && !known[*unit] {
			t.Errorf("%s is in %s, which is none of Grafana's units", *p.Title, *unit)
		}
		if len(p.Targets) == 0 {
			t.Errorf("%s asks for nothing", *p.Title)
		}
	}
	if len(ids) < 20 {
		t.Errorf("%d panels were judged: was the file read?", len(ids))
	}
}

// TestDashboardIsJudged: what is not of the schema is found to be.
func TestDashboardIsJudged(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, dashboardFile))
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		`"legendFormat"`:         `"legendFormats"`,
		`"colorMode": "value"`:   `"colourMode": "value"`,
		`"refresh": "30s"`:       `"refreshes": "30s"`,
		`"showLegend": true`:     `"showLegend": "yes"`,
		`"graphMode": "none"`:    `"graphMode": 3`,
		`"overrides": []`:        `"override": []`,
		`"schemaVersion": 39`:    `"schemaVersion": "39"`,
		`"uid": "${datasource}"`: `"id": "${datasource}"`,
	} {
		changed := strings.Replace(string(text), from, to, 1)
		if changed == string(text) {
			t.Errorf("there is no %s", from)
		}
		if _, err := strictDashboard([]byte(changed)); err == nil {
			t.Errorf("with %s for %s it is still a dashboard", to, from)
		}
	}
}

// strictDashboard decodes a dashboard, and says all that is not of the schema.
func strictDashboard(text []byte) (d dashboard.Dashboard, err error) {
	plugins.RegisterDefaultPlugins()
	said := []error{faults(new(dashboard.Dashboard).UnmarshalJSONStrict(text))}
	// What it does not look into itself.
	var fields struct {
		Panels []struct{ FieldConfig json.RawMessage }
	}
	said = append(said, json.Unmarshal(text, &fields))
	for _, p := range fields.Panels {
		said = append(said, faults(new(dashboard.FieldConfigSource).UnmarshalJSONStrict(p.FieldConfig)))
	}
	if err := errors.Join(append(said, json.Unmarshal(text, &d))...); err != nil {
		return d, err
	}
	return d, d.Validate()
}

// faults are those of a strict decoding, which returns an empty list of them as an error
// (and then leaves parts of the value out).
func faults(err error) error {
	var list cog.BuildErrors
	if errors.As(err, &list) && len(list) == 0 {
		return nil
	}
	return err
}

// claim takes the place of a panel on the page, of 24 columns, which is nobody else's.
func claim(t *testing.T, taken map[[2]uint32]string, at *dashboard.GridPos, title string) {
	t.Helper()
	if at.X+at.W > 24 || at.W == 0 || at.H == 0 {
		t.Errorf("%s is at %+v, beside the page", title, *at)
	}
	for x := at.X; x < at.X+at.W; x++ {
		for y := at.Y; y < at.Y+at.H; y++ {
			if other, is := taken[[2]uint32{x, y}]; is {
				t.Errorf("%s lies over %s", title, other)
				return
			}
			taken[[2]uint32{x, y}] = title
		}
	}
}
