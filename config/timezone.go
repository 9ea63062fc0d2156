package config

import (
	"fmt"
	"sync"
	"time"
	_ "time/tzdata" // a minimal image has no time zones of its own
)

// zones are the time zones that were asked for, by name. Only those of a config that
// was loaded, and was found to have them, are.
var zones sync.Map

// Location is the quota's time zone. It is an error where there is none of that
// name, which Load refuses.
func (q Quota) Location() (*time.Location, error) {
	if q.TimeZone == "" {
		return time.UTC, nil
	}
	if zone, ok := zones.Load(q.TimeZone); ok {
		return zone.(*time.Location), nil
	}
	if q.TimeZone == "Local" { // what is where this process happens to run
		return nil, fmt.Errorf("there is no time zone %q", q.TimeZone)
	}
	zone, err := time.LoadLocation(q.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("there is no time zone %q", q.TimeZone)
	}
	zones.Store(q.TimeZone, zone)
	return zone, nil
}
