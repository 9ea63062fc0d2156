package acme

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"github.com/gatewright/gatewright/config"
	"github.com/gatewright/gatewright/internal/pki"
)

// keptAccount is an account as it is in the folder.
type keptAccount struct {
	acme.Account
	// Key is its private key, in PEM.
	Key string `json:"key"`
}

// accountFile names the file of an account: one at each authority, for each address
// and each binding.
func accountFile(settings *config.ACME) string {
	named := settings.DirectoryURL() + " " + settings.Email
	if b := settings.ExternalAccountBinding; b != nil {
		named += " " + b.KeyID
	}
	sum := sha256.Sum256([]byte(named))
	return hex.EncodeToString(sum[:16]) + ".json"
}

// account is the account at an authority: the one that is kept, or a new one.
func (m *Manager) account(ctx context.Context, c *acme.Client, settings *config.ACME) (acme.Account, error) {
	file := accountFile(settings)
	known, err := m.keptAccount(file)
	if err != nil || known.Location != "" {
		return known, err
	}
	// One gateway makes it; the others wait for that one.
	release, err := m.waitForLock(ctx, file)
	if err != nil {
		return acme.Account{}, err
	}
	defer release()
	if known, err = m.keptAccount(file); err != nil || known.Location != "" {
		return known, err
	}
	return m.newAccount(ctx, c, settings, file)
}

func (m *Manager) keptAccount(file string) (acme.Account, error) {
	content, err := m.folder.load(accounts, file)
	if err != nil || content == nil {
		return acme.Account{}, err
	}
	var kept keptAccount
	if err := json.Unmarshal(content, &kept); err != nil {
		return acme.Account{}, fmt.Errorf("reading the account %s: %w", file, err)
	}
	if kept.PrivateKey, err = pki.ParseKey([]byte(kept.Key)); err != nil {
		return acme.Account{}, fmt.Errorf("reading the key of the account %s: %w", file, err)
	}
	return kept.Account, nil
}

func (m *Manager) newAccount(ctx context.Context, c *acme.Client, settings *config.ACME, file string) (acme.Account, error) {
	private, err := newKey()
	if err != nil {
		return acme.Account{}, err
	}
	account := acme.Account{TermsOfServiceAgreed: settings.AgreeTermsOfService, PrivateKey: private}
	if settings.Email != "" {
		account.Contact = []string{"mailto:" + settings.Email}
	}
	if b := settings.ExternalAccountBinding; b != nil {
		if err := account.SetExternalAccountBinding(ctx, c, acme.EAB{KeyID: b.KeyID, MACKey: os.Getenv(b.KeyEnv)}); err != nil {
			return acme.Account{}, fmt.Errorf("binding an account at %s: %w", settings.DirectoryURL(), err)
		}
	}
	if account, err = c.NewAccount(ctx, account); err != nil {
		return acme.Account{}, fmt.Errorf("making an account at %s: %w", settings.DirectoryURL(), err)
	}
	content, err := json.Marshal(keptAccount{account, string(pki.EncodeKey(private))})
	if err != nil {
		return acme.Account{}, fmt.Errorf("keeping an account: %w", err)
	}
	if err := m.folder.save(accounts, file, content); err != nil {
		m.log.Warn("an account cannot be kept; the next certificate is asked for by another", "error", err)
	}
	return account, nil
}

// waitForLock takes a lock that is held for as long as a few questions take.
func (m *Manager) waitForLock(ctx context.Context, name string) (release func(), err error) {
	for {
		release, err := m.folder.lock(name)
		if release != nil || err != nil {
			return release, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("another gateway makes the account, and does not end: " + ctx.Err().Error())
		case <-time.After(poll / 4):
		}
	}
}
