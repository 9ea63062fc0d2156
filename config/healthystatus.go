package config

import (
	"fmt"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

var statusClass = regexp.MustCompile(`^[1-5]xx$`)

// ReadNode implements NodeReader: a status is an integer in YAML, and a class is a
// string.
func (s *HealthyStatus) ReadNode(n *yaml.Node) string {
	const rule = "must be a status from 100 to 599, or a class of them, as 2xx"
	if n.Kind != yaml.ScalarNode {
		return rule
	}
	if statusClass.MatchString(n.Value) {
		first := int(n.Value[0]-'0') * 100
		*s = HealthyStatus{first, first + 99}
		return ""
	}
	status, broken := integer(n)
	if broken != "" || status < 100 || status > 599 {
		return rule
	}
	*s = HealthyStatus{int(status), int(status)}
	return ""
}

// String is the status as a config file says it.
func (s HealthyStatus) String() string {
	if s.From == s.To {
		return strconv.Itoa(s.From)
	}
	return fmt.Sprintf("%dxx", s.From/100)
}
