package config

import (
	"slices"
	"testing"
)

func TestRoutesGone(t *testing.T) {
	route := func(name, path string) *Route { return &Route{Name: name, Match: Match{Path: path}} }
	before := &Config{Routes: []*Route{route("stays", "/a"), route("moves", "/b"), route("is-renamed", "/c"), route("goes", "/d")}}
	after := &Config{Routes: []*Route{route("stays", "/a"), route("moves", "/elsewhere"), route("new-name", "/c")}}
	if got, want := RoutesGone(before, after), []string{"goes"}; !slices.Equal(got, want) {
		t.Errorf("gone: %v, want %v", got, want)
	}
}

// TestAdoptKeepsAddresses: what says the same is the same, and nothing else.
func TestAdoptKeepsAddresses(t *testing.T) {
	parse := func(body string) *Config {
		c, err := Parse("gateway.yaml", []byte("listeners: [{name: public, address: \"127.0.0.1:8080\"}]\n"+
			"backends: {app: {endpoints: [\"127.0.0.1:9101\"]}}\nroutes:\n"+
			"  - {name: same, match: {path: /same}, auth: public, to: [{backend: app}]}\n"+
			"  - {name: other, match: {path: /other}, auth: public, respond: {status: 200, body: "+body+"}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before, c := parse("one"), parse("two")
	Adopt(c, before)
	if c.Routes[0] != before.Routes[0] || c.Backends["app"] != before.Backends["app"] {
		t.Error("what says the same has another address")
	}
	if c.Routes[1] == before.Routes[1] || c.Routes[1].Respond.Body != "two" {
		t.Error("what has changed was taken from before")
	}
}
