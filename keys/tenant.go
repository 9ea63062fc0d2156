package keys

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatewright/gatewright/config"
)

// The bounds of what a Tenant may say: all of them are held in memory.
const (
	maxTenantLimits = 64
	maxNoteBytes    = 512
)

// Tenant is the record of a customer: what is agreed on, and so holds for all
// callers of that tenant, keys and tokens.
type Tenant struct {
	// Name is the tenant of the keys and tokens: 1 to 128 bytes of printable text.
	Name string `json:"name"`
	// Plan is the name of the customer's plan, as limits of a config may have
	// them. Empty is none.
	Plan string `json:"plan,omitempty"`
	// Limits are the customer's own numbers for limits, by their names, which go
	// before every plan. A Tenant's reader does not change them.
	Limits map[string]config.Numbers `json:"limits,omitempty"`
	// Note is for people: at most 512 bytes of printable text.
	Note string `json:"note,omitempty"`
	// ChangedAt is when the record was last set, in UTC.
	ChangedAt time.Time `json:"changedAt,omitzero"`
}

// validate returns every fault of the record.
func (t Tenant) validate() error {
	faults := []error{nameFault(t.Name), planFault(t.Plan), noteFault(t.Note)}
	if len(t.Limits) > maxTenantLimits {
		faults = append(faults, fmt.Errorf("limits: %d of them, at most %d", len(t.Limits), maxTenantLimits))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Limits)) {
		if rule := config.NameRule(name); rule != "" {
			faults = append(faults, fmt.Errorf("limits: %.64q: %s", name, rule))
		}
		// Whoever made the numbers, the limiter is to hold exactly these.
		if _, err := config.ParseNumbers(t.Limits[name].String()); err != nil {
			faults = append(faults, fmt.Errorf("limits: %.64s: %w", name, err))
		}
	}
	return errors.Join(faults...)
}

func noteFault(note string) error {
	switch {
	case len(note) > maxNoteBytes:
		return fmt.Errorf("note: %d bytes, at most %d", len(note), maxNoteBytes)
	case !utf8.ValidString(note) || strings.ContainsFunc(note, unprintable):
		return fmt.Errorf("note: %q, must be printable text", note)
	}
	return nil
}
