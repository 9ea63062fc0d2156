package door

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"
)

// poll is how often the files are read. A change is taken when two readings in
// a row are the same: what writes three files writes them one after the other,
// and a pair of which one half is new yet is no fault to be told.
const poll = 500 * time.Millisecond

// sighting is what one reading of the files gave. Two of the same id are the
// same state of the files, be it a fault of reading.
type sighting struct {
	id    [sha256.Size]byte
	files files
	err   error
}

func (s Settings) sight() sighting {
	f, err := s.read()
	if err != nil {
		return sighting{id: sha256.Sum256([]byte(err.Error())), err: err}
	}
	return sighting{id: f.sum(), files: f}
}

// follow reads the files again and again, as config.FileSource does, and for
// its reasons: every way to replace a file is seen, on every file system. They
// are small, so that their content is compared, not their times.
//
// gRPC has a watcher of its own, credentials/tls/certprovider/pemfile, with
// security/advancedtls to use it. It was not taken: it writes the private key
// into the log when the key does not match its certificate, cannot say at the
// start that a file is wrong, tells no caller of a fault later, takes the pair
// and the authorities at different moments, and passes over what it does not
// understand of a bundle. And advancedtls, at v1.0.0 since June 2024, verifies
// clients by code of its own instead of crypto/tls.
func (d *Door) follow(ctx context.Context) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	decided := d.served.Load().sum
	seen := decided
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := d.settings.sight()
		if now.id != decided && now.id == seen {
			d.replace(now)
			decided = now.id
		}
		seen = now.id
	}
}

// replace makes new handshakes with what was read, if it can be used.
func (d *Door) replace(s sighting) {
	m, err := d.usable(s)
	if err != nil {
		d.reloads.WithLabelValues("invalid").Inc()
		d.log.Error("the new certificates for Envoys are not used; those before them are",
			"error", err, "expires", d.served.Load().leaf.NotAfter)
		return
	}
	d.served.Store(m)
	d.reloads.WithLabelValues("applied").Inc()
	d.log.Info("certificates for Envoys replaced", "cert", d.settings.Cert, "expires", m.leaf.NotAfter)
}

func (d *Door) usable(s sighting) (*material, error) {
	if s.err != nil {
		return nil, s.err
	}
	m, err := d.settings.parse(s.files)
	if err != nil {
		return nil, err
	}
	if err := m.inTime(d.now()); err != nil {
		return nil, fmt.Errorf("GATEWRIGHT_GRPC_CERT=%s: %w", d.settings.Cert, err)
	}
	return m, nil
}
