package door

import (
	"errors"
	"fmt"
	"strings"
)

// Settings are the environment of the door. The zero value is a door without
// TLS, for an address that no other machine reaches.
type Settings struct {
	// Cert and Key are PEM files: the certificate that Envoys are shown, with
	// its intermediates, and its private key.
	Cert string `envconfig:"GATEWRIGHT_GRPC_CERT"`
	Key  string `envconfig:"GATEWRIGHT_GRPC_KEY"`
	// CA is a PEM file of the authorities that sign Envoys' certificates. No
	// other is believed, the system's least of all.
	CA string `envconfig:"GATEWRIGHT_GRPC_CA"`
	// BindNodeID demands that an Envoy's node id is a name in its certificate.
	BindNodeID bool `envconfig:"GATEWRIGHT_GRPC_BIND_NODE_ID"`
}

// TLS tells whether the door asks for certificates.
func (s Settings) TLS() bool { return s.Cert != "" && s.Key != "" && s.CA != "" }

// Validate tells what the settings lack: half a TLS is none, and is never
// taken for the absence of a wish.
func (s Settings) Validate() error {
	var set, missing []string
	for _, f := range []struct{ name, path string }{
		{"GATEWRIGHT_GRPC_CERT", s.Cert}, {"GATEWRIGHT_GRPC_KEY", s.Key}, {"GATEWRIGHT_GRPC_CA", s.CA},
	} {
		if f.path == "" {
			missing = append(missing, f.name)
		} else {
			set = append(set, f.name)
		}
	}
	switch {
	case len(set) > 0 && len(missing) > 0:
		return fmt.Errorf("%s: not set, though %s: TLS for Envoys takes all three files, or none",
			strings.Join(missing, ", "), strings.Join(set, ", ")+plural(len(set), " is", " are"))
	case s.BindNodeID && len(set) == 0:
		return errors.New("GATEWRIGHT_GRPC_BIND_NODE_ID=true: there is no certificate to bind a node id to: " +
			"set GATEWRIGHT_GRPC_CERT, GATEWRIGHT_GRPC_KEY and GATEWRIGHT_GRPC_CA")
	}
	return nil
}

func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}
