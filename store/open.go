package store

import (
	"fmt"
	"log/slog"
)

// Open returns the store at a location:
//
//	gateway.yaml                        a file; its history is in stateDir
//	etcd://10.0.0.1,10.0.0.2:2379/key   etcd; etcds:// with TLS
//	consul://127.0.0.1:8500/key         Consul; consuls:// with TLS
//
// The key is all that follows the slash after the hosts, as it stands:
// etcd://host//gateway is the key "/gateway".
//
// It does not connect: a store that is away is found by the first use. Errors
// are malformed locations and settings. No error and no log line of the store
// holds credentials. The caller calls Close in the end.
func Open(at string, settings Settings, stateDir string, log *slog.Logger) (Store, error) {
	l, err := parseLocation(at)
	if err != nil {
		return nil, err
	}
	var m medium
	switch l.scheme {
	case "etcd":
		m, err = newEtcd(l, settings)
	case "consul":
		m, err = newConsul(l, settings)
	default:
		m, err = newFile(l.path, stateDir, log)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the config store %s: %w", l, err)
	}
	return &ledger{medium: m, name: l.String(), log: log}, nil
}
