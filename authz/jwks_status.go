package authz

import (
	"cmp"
	"slices"
	"time"
)

// KeySetStatus is how the key set of one place stands.
type KeySetStatus struct {
	// Providers are the names of those who use it.
	Providers []string `json:"providers"`
	// Source is the URL or the file, without a password, or "inline".
	Source string `json:"source"`
	// Keys is how many keys are usable; 0 is that there never was a set.
	Keys int `json:"keys"`
	// ConfirmedAt is when the set was last known to be the issuer's. Nil where
	// nothing is fetched, and where there never was a set.
	ConfirmedAt *time.Time `json:"confirmedAt,omitempty"`
	// Restored tells that the set is from an earlier run, and that the issuer has
	// not answered since.
	Restored bool `json:"restored,omitempty"`
	// Stale tells that the set has not been confirmed for so long that it is not
	// used any more.
	Stale bool `json:"stale,omitempty"`
}

// Status is how each key set stands at a time, in the order of their sources.
func (k *KeySets) Status(now time.Time) []KeySetStatus {
	var all []KeySetStatus
	for _, s := range k.all() {
		status := KeySetStatus{Providers: s.meter.names(), Source: s.name, Restored: s.restored.Load()}
		slices.Sort(status.Providers)
		if set := s.current.Load(); set != nil {
			status.Keys = len(set.keys)
			status.Stale = s.usable(now) == nil
			if s.fetches {
				at := time.Unix(0, s.confirmed.Load()).UTC()
				status.ConfirmedAt = &at
			}
		}
		all = append(all, status)
	}
	slices.SortFunc(all, func(a, b KeySetStatus) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), slices.Compare(a.Providers, b.Providers))
	})
	return all
}
