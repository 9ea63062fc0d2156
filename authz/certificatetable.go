package authz

import "sync"

// certificateEntries is how many certificates a generation of the table has.
const certificateEntries = 1024

// certificateTable remembers certificates that have been read, so that the
// requests of a connection cost one reading. It holds two generations: what was
// asked for since the younger one was begun is in it.
//
// A certificate is found by its whole text, which Envoy has verified: nobody
// gets into the table whom the authorities of a listener do not vouch for.
type certificateTable struct {
	mu         sync.RWMutex // guards both
	young, old map[string]*peerCertificate
}

// read returns a certificate by its text.
func (t *certificateTable) read(text string) (*peerCertificate, error) {
	t.mu.RLock()
	found := t.young[text]
	aged := t.old[text]
	t.mu.RUnlock()
	if found != nil {
		return found, nil
	}
	if aged == nil {
		var err error
		if aged, err = readCertificate(text); err != nil {
			return nil, err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.young) >= certificateEntries {
		t.old, t.young = t.young, nil
	}
	if t.young == nil {
		t.young = make(map[string]*peerCertificate)
	}
	t.young[kept(text)] = aged
	return aged, nil
}
