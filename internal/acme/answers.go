package acme

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"github.com/gatewright/gatewright/internal/pki"
)

// answer is what an authority is to find, as it is in the folder: any gateway may be
// the one that is asked.
type answer struct {
	Type     string `json:"type"`
	Domain   string `json:"domain"`
	Key      string `json:"key"` // of the domain; see key
	Token    string `json:"token"`
	Expected string `json:"keyAuthorization"`
}

// file is the name of its file.
func (a *answer) file() string {
	sum := sha256.Sum256([]byte(a.Type + " " + a.Key + " " + a.Token))
	return hex.EncodeToString(sum[:16])
}

// answers are all that is to be found now, by the names of their files. Of the
// manager's own, the file may be missing: a folder that cannot be written to holds up
// no challenge.
type answers struct {
	byFile map[string]*answer
	own    map[string]bool
}

func newAnswers() answers { return answers{map[string]*answer{}, map[string]bool{}} }

// Answer is what an authority is to find under a token
// (/.well-known/acme-challenge/TOKEN, RFC 8555, section 8.3).
func (m *Manager) Answer(token string) (keyAuthorization string, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.answers.byFile {
		if a.Type == acme.ChallengeTypeHTTP01 && a.Token == token && token != "" {
			return a.Expected, true
		}
	}
	return "", false
}

// lookForChallenges reads what other gateways ask, and tells whether something is to be
// served anew for it.
func (m *Manager) lookForChallenges() (changed bool) {
	there := m.folder.list(challenges)
	for _, name := range there {
		if m.answers.byFile[name] != nil {
			continue
		}
		if s := m.folder.stateOf(challenges, name); m.now().Sub(s.modified) > maxAnswer {
			_ = m.folder.remove(challenges, name) // or another gateway does
			continue
		}
		a, err := m.readAnswer(name)
		if err != nil {
			m.log.Error("a challenge of another gateway cannot be read", "file", name, "error", err)
			a = &answer{} // told once
		}
		m.answers.byFile[name] = a
		changed = m.setChallenge(a, true) || changed
	}
	for name, a := range m.answers.byFile {
		if !m.answers.own[name] && !slices.Contains(there, name) {
			delete(m.answers.byFile, name)
			changed = m.setChallenge(a, false) || changed
		}
	}
	return changed
}

func (m *Manager) readAnswer(name string) (*answer, error) {
	content, err := m.folder.load(challenges, name)
	if err != nil {
		return nil, err
	}
	a := &answer{}
	if err := json.Unmarshal(content, a); err != nil {
		return nil, fmt.Errorf("reading a challenge: %w", err)
	}
	return a, nil
}

// setChallenge has a domain answer by TLS, or no more, and tells whether that is
// something else than before.
func (m *Manager) setChallenge(a *answer, there bool) bool {
	d := m.domains[a.Key]
	if a.Type != acme.ChallengeTypeTLSALPN01 || d == nil {
		return false
	}
	d.challenge = nil
	if there {
		p, err := challengePair(a)
		if err != nil {
			m.log.Error("a challenge cannot be answered", "domain", a.Domain, "error", err)
			return false
		}
		d.challenge = p
	}
	return true
}

// challengePair is the certificate that proves a domain by TLS (RFC 8737, section 3).
func challengePair(a *answer) (*pki.Pair, error) {
	made, err := acmez.TLSALPN01ChallengeCert(acme.Challenge{
		KeyAuthorization: a.Expected, Identifier: acme.Identifier{Type: "dns", Value: a.Domain},
	})
	if err != nil {
		return nil, fmt.Errorf("making the certificate of a challenge: %w", err)
	}
	return pki.NewPair(made.Certificate, made.PrivateKey)
}

// solver shows an authority the answers for one domain (acmez.Solver).
type solver struct {
	manager *Manager
	key     string
}

func (s solver) answer(c acme.Challenge) *answer {
	return &answer{Type: c.Type, Domain: c.Identifier.Value, Key: s.key, Token: c.Token, Expected: c.KeyAuthorization}
}

// Present has the answer found by whom asks us, and puts it where others see it.
func (s solver) Present(ctx context.Context, c acme.Challenge) error {
	m, a := s.manager, s.answer(c)
	content, err := json.Marshal(a)
	if err == nil {
		err = m.folder.save(challenges, a.file(), content)
	}
	if err != nil {
		m.log.Warn("no other gateway can answer for this one", "domain", a.Domain, "error", err)
	}
	byTLS := false
	m.set(func() {
		m.answers.byFile[a.file()], m.answers.own[a.file()] = a, true
		byTLS = m.setChallenge(a, true)
	})
	if byTLS {
		return m.serve(ctx)
	}
	return nil
}

// Wait gives other gateways the time to see it.
func (s solver) Wait(ctx context.Context, _ acme.Challenge) error {
	if s.manager.spread == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.manager.spread):
		return nil
	}
}

// CleanUp takes the answer away. Envoys are told with the certificate.
func (s solver) CleanUp(_ context.Context, c acme.Challenge) error {
	a := s.answer(c)
	s.manager.set(func() {
		delete(s.manager.answers.byFile, a.file())
		delete(s.manager.answers.own, a.file())
		s.manager.setChallenge(a, false)
	})
	return s.manager.folder.remove(challenges, a.file())
}
