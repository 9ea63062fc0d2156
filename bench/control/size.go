package main

import (
	"fmt"
	"strconv"
	"strings"
)

// size is the extent of a route table: routes, spread evenly over hosts, and over
// policies that run inside Envoy; without policies they are public.
type size struct{ routes, hosts, policies int }

// String is the size as it stands in the report.
func (s size) String() string {
	text := thousands(s.routes) + " on one host"
	if s.hosts > 1 {
		text = thousands(s.routes) + " over " + thousands(s.hosts) + " hosts"
	}
	if s.policies > 0 {
		text += fmt.Sprintf(", %d policies inside Envoy", s.policies)
	}
	return text
}

// Set reads ROUTES/HOSTS, or ROUTES on one host, or ROUTES/HOSTS/POLICIES.
func (s *size) Set(text string) error {
	*s = size{}
	routes, hosts, found := strings.Cut(text, "/")
	if !found {
		hosts = "1"
	}
	var err error
	if before, policies, found := strings.Cut(hosts, "/"); found {
		hosts = before
		if s.policies, err = positive(policies); err != nil {
			return err
		}
	}
	if s.routes, err = positive(routes); err != nil {
		return err
	}
	if s.hosts, err = positive(hosts); err != nil {
		return err
	}
	if s.hosts > s.routes {
		return fmt.Errorf("%d hosts of %d routes: a host has at least one", s.hosts, s.routes)
	}
	return nil
}

func positive(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q, must be a number of 1 or more", text)
	}
	return n, nil
}

// sizes is a list of them.
type sizes []size

// String is the flag's text.
func (s *sizes) String() string {
	var out []string
	for _, of := range *s {
		text := fmt.Sprintf("%d/%d", of.routes, of.hosts)
		if of.policies > 0 {
			text += fmt.Sprintf("/%d", of.policies)
		}
		out = append(out, text)
	}
	return strings.Join(out, ",")
}

// Set reads a list.
func (s *sizes) Set(text string) error {
	*s = nil
	for part := range strings.SplitSeq(text, ",") {
		var one size
		if err := one.Set(part); err != nil {
			return err
		}
		*s = append(*s, one)
	}
	return nil
}

// counts is a list of numbers.
type counts []int

// String is the flag's text.
func (c *counts) String() string {
	var out []string
	for _, n := range *c {
		out = append(out, strconv.Itoa(n))
	}
	return strings.Join(out, ",")
}

// Set reads a list, in which each is more than the one before.
func (c *counts) Set(text string) error {
	*c = nil
	for part := range strings.SplitSeq(text, ",") {
		n, err := positive(part)
		if err != nil {
			return err
		}
		if len(*c) > 0 && n <= (*c)[len(*c)-1] {
			return fmt.Errorf("%d after %d, must be more", n, (*c)[len(*c)-1])
		}
		*c = append(*c, n)
	}
	return nil
}

// thousands is a number in groups of three digits: 10 000.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(d)
	}
	return b.String()
}
