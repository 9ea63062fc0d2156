package keys

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatewright/gatewright/config"
)

// The bounds of what a Spec may say. They keep a Record small enough to hold
// many of them in memory, and a listing readable.
const (
	maxLabelBytes  = 128
	maxPermissions = 64
	maxLabels      = 16
	lastYear       = 9999 // RFC 3339, and so JSON, writes no later one
)

// Spec is what a new key shall be.
type Spec struct {
	// Name is a label for people: 1 to 128 bytes of printable text.
	Name string
	// Owner and Tenant are at most 128 bytes of printable ASCII, as they
	// travel to backends in headers. Empty is nobody.
	Owner, Tenant string
	// Plan is the name of a plan of the key's own, as limits of a config may have
	// them. Empty is that of the tenant. What the config does not name is no fault:
	// the database may be ahead of it.
	Plan string
	// Permissions are at most 64 words of printable ASCII without space or
	// comma. Order and repetition do not matter.
	Permissions []string
	// Labels are at most 16 names with values, each of at most 128 bytes of
	// printable ASCII; a name has no space, comma or equals sign.
	Labels map[string]string
	// ExpiresAt is in the future, or zero for never.
	ExpiresAt time.Time
}

// validate returns every fault of the Spec.
func (s Spec) validate(now time.Time) error {
	faults := []error{
		nameFault(s.Name),
		headerFault("owner", s.Owner),
		headerFault("tenant", s.Tenant),
		planFault(s.Plan),
		permissionsFault(s.Permissions),
		labelsFault(s.Labels),
		expiryFault(s.ExpiresAt, now),
	}
	return errors.Join(faults...)
}

// record returns the Record that a valid Spec describes.
func (s Spec) record(id string, hash hash, now time.Time) Record {
	permissions := slices.Sorted(slices.Values(s.Permissions))
	if permissions = slices.Compact(permissions); permissions == nil {
		permissions = []string{}
	}
	var labels map[string]string // nil where there are none, as it is read back
	if len(s.Labels) > 0 {
		labels = maps.Clone(s.Labels)
	}
	return Record{
		ID:          id,
		Name:        s.Name,
		Owner:       s.Owner,
		Tenant:      s.Tenant,
		Plan:        s.Plan,
		Permissions: permissions,
		CreatedAt:   inMilliseconds(now),
		ExpiresAt:   inMilliseconds(s.ExpiresAt),
		Labels:      labels,
		hash:        hash,
	}
}

func nameFault(name string) error {
	switch {
	case name == "":
		return errors.New("name: missing, every key has one")
	case len(name) > maxLabelBytes:
		return fmt.Errorf("name: %d bytes, at most %d", len(name), maxLabelBytes)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unprintable) || strings.TrimSpace(name) != name:
		return fmt.Errorf("name: %q, must be printable text without space around it", name)
	}
	return nil
}

func headerFault(field, value string) error {
	switch {
	case len(value) > maxLabelBytes:
		return fmt.Errorf("%s: %d bytes, at most %d", field, len(value), maxLabelBytes)
	case strings.ContainsFunc(value, notASCII) || strings.TrimSpace(value) != value:
		return fmt.Errorf("%s: %q, must be printable ASCII without space around it", field, value)
	}
	return nil
}

func planFault(plan string) error {
	if plan == "" {
		return nil
	}
	if rule := config.NameRule(plan); rule != "" {
		return fmt.Errorf("plan: %.64q: %s", plan, rule)
	}
	return nil
}

func permissionsFault(permissions []string) error {
	if len(permissions) > maxPermissions {
		return fmt.Errorf("permissions: %d of them, at most %d", len(permissions), maxPermissions)
	}
	var faults []error
	for _, permission := range permissions {
		switch {
		case permission == "":
			faults = append(faults, errors.New("permissions: an empty one"))
		case len(permission) > maxLabelBytes:
			faults = append(faults, fmt.Errorf("permissions: one of %d bytes, at most %d", len(permission), maxLabelBytes))
		case strings.ContainsFunc(permission, notASCII) || strings.ContainsAny(permission, " ,"):
			faults = append(faults, fmt.Errorf("permissions: %q, must be printable ASCII without space or comma", permission))
		}
	}
	return errors.Join(faults...)
}

func labelsFault(labels map[string]string) error {
	if len(labels) > maxLabels {
		return fmt.Errorf("labels: %d of them, at most %d", len(labels), maxLabels)
	}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		switch {
		case name == "":
			faults = append(faults, errors.New("labels: one without a name"))
		case len(name) > maxLabelBytes:
			faults = append(faults, fmt.Errorf("labels: a name of %d bytes, at most %d", len(name), maxLabelBytes))
		case strings.ContainsFunc(name, notASCII) || strings.ContainsAny(name, " ,="):
			faults = append(faults, fmt.Errorf("labels: %q, a name must be printable ASCII without space, comma or equals sign", name))
		default:
			faults = append(faults, headerFault("labels: "+name, labels[name]))
		}
	}
	return errors.Join(faults...)
}

func expiryFault(expires, now time.Time) error {
	switch {
	case expires.IsZero():
		return nil
	case !expires.After(now):
		return fmt.Errorf("expiry: %s, must be in the future", expires.UTC().Format(time.RFC3339))
	case expires.UTC().Year() > lastYear:
		return fmt.Errorf("expiry: in the year %d, at most %d", expires.UTC().Year(), lastYear)
	}
	return nil
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

func notASCII(r rune) bool { return r < ' ' || r > '~' }

// inMilliseconds returns t as the database can hold it.
func inMilliseconds(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}
