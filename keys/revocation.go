package keys

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Revocation ends tokens of an issuer before they expire. At most one of
// TokenID and Subject is set; with none, it is about all tokens of the issuer.
type Revocation struct {
	// ID is its number in the database; 0 before it is there.
	ID int64 `json:"id"`
	// Issuer is the iss of the tokens.
	Issuer string `json:"issuer"`
	// TokenID is the jti of one token (RFC 7519, section 4.1.7).
	TokenID string `json:"tokenID,omitempty"`
	// Subject is the sub of the tokens that were issued before IssuedBefore.
	Subject string `json:"subject,omitempty"`
	// IssuedBefore ends the tokens whose iat is earlier, and those without iat.
	// It is set unless TokenID is.
	IssuedBefore time.Time `json:"issuedBefore,omitzero"`
	// Until is when the last of the tokens has expired, and the revocation can be
	// forgotten. The zero time is never.
	Until time.Time `json:"until,omitzero"`
	// At, By and Why are when it was made, by whom, and for what reason.
	At  time.Time `json:"at"`
	By  string    `json:"by,omitempty"`
	Why string    `json:"why,omitempty"`
}

// fault is the rule that a revocation breaks.
func (r Revocation) fault(now time.Time) error {
	switch {
	case r.Issuer == "":
		return errors.New("the issuer is missing: a jti or a sub means nothing without it")
	case r.TokenID != "" && r.Subject != "":
		return errors.New("a token's id and a subject exclude one another")
	case r.TokenID != "" && !r.IssuedBefore.IsZero():
		return errors.New("one token is revoked whenever it was issued: a time goes with a subject, or alone")
	case r.TokenID == "" && r.IssuedBefore.IsZero():
		return errors.New("a time is missing, before which the tokens were issued")
	case max(len(r.Issuer), len(r.TokenID), len(r.Subject), len(r.By), len(r.Why)) > maxRevocationText:
		return fmt.Errorf("a text is longer than %d bytes", maxRevocationText)
	case !r.Until.IsZero() && !r.Until.After(now):
		return fmt.Errorf("its end, %s, is over", r.Until.Format(time.RFC3339))
	}
	return nil
}

// Token is what a revocation can be about.
type Token struct {
	Issuer, ID, Subject string
	// IssuedAt is the zero time where the token does not say it.
	IssuedAt time.Time
}

// revoked are the revocations in force. The zero value has none.
type revoked struct {
	// count is how many there are, to be read without the lock: where nothing is
	// revoked, as almost always, a request takes none. It is written under mu.
	count atomic.Int64
	// changes counts what has been added, taken away and replaced.
	changes atomic.Int64

	mu sync.RWMutex // guards all below
	// byID are all of them, to take one away by its number.
	byID map[int64]Revocation
	// single are how many there are of each token that is named.
	single map[named]int
	// before are the times of those of a subject, or of all tokens of an issuer.
	before map[named]map[int64]time.Time
}

// named is what a revocation names, of an issuer.
type named struct {
	issuer string
	kind   namedKind
	name   string
}

type namedKind byte

const (
	namedIssuer namedKind = iota // no name
	namedTokenID
	namedSubject
)

// of is what a revocation names.
func (r Revocation) of() named {
	switch {
	case r.TokenID != "":
		return named{r.Issuer, namedTokenID, r.TokenID}
	case r.Subject != "":
		return named{r.Issuer, namedSubject, r.Subject}
	default:
		return named{issuer: r.Issuer}
	}
}

// covers tells whether a token is revoked.
func (s *revoked) covers(t Token) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if t.ID != "" && s.single[named{t.Issuer, namedTokenID, t.ID}] > 0 {
		return true
	}
	if t.Subject != "" && anyAfter(s.before[named{t.Issuer, namedSubject, t.Subject}], t.IssuedAt) {
		return true
	}
	return anyAfter(s.before[named{issuer: t.Issuer}], t.IssuedAt)
}

// anyAfter tells whether one of the times is after another; the zero time is
// before all.
func anyAfter(times map[int64]time.Time, t time.Time) bool {
	for _, before := range times {
		if t.Before(before) {
			return true
		}
	}
	return false
}

// add puts a revocation into force. One that is there already stays.
func (s *revoked) add(r Revocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.byID[r.ID]; ok {
		return
	}
	if s.byID == nil {
		s.byID, s.single, s.before = map[int64]Revocation{}, map[named]int{}, map[named]map[int64]time.Time{}
	}
	s.byID[r.ID] = r
	s.count.Store(int64(len(s.byID)))
	s.changes.Add(1)
	what := r.of()
	if r.IssuedBefore.IsZero() {
		s.single[what]++
		return
	}
	if s.before[what] == nil {
		s.before[what] = map[int64]time.Time{}
	}
	s.before[what][r.ID] = r.IssuedBefore
}

// replace puts these into force, and no other.
func (s *revoked) replace(all []Revocation) {
	next := &revoked{}
	for _, r := range all {
		next.add(r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID, s.single, s.before = next.byID, next.single, next.before
	s.count.Store(int64(len(s.byID)))
	s.changes.Add(1)
}

// forget takes those away whose tokens have all expired.
func (s *revoked) forget(now time.Time) {
	s.mu.RLock()
	over := false
	var left []Revocation
	for _, r := range s.byID {
		if r.Until.IsZero() || r.Until.After(now) {
			left = append(left, r)
		} else {
			over = true
		}
	}
	s.mu.RUnlock()
	if over {
		s.replace(left)
	}
}

func (s *revoked) len() int { return int(s.count.Load()) }

func (s *revoked) all() []Revocation {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(s.byID), func(a, b Revocation) int { return cmp.Compare(a.ID, b.ID) })
}
