package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
)

// base64Prefix begins a secret that is written in base64, as one whose bytes can
// stand in no environment variable.
const base64Prefix = "base64:"

// TokenSecret returns the bytes of a secret of tokens as an environment variable has
// it: the text itself, or what is in base64 behind "base64:", in either alphabet,
// padded or not. It has at least so many bytes (LeastSecret). An error says which
// rule the text breaks, and nothing of it.
func TokenSecret(text string, least int) ([]byte, error) {
	secret, err := decodeSecret(text)
	if err == nil && len(secret) < least {
		err = fmt.Errorf("must have at least %d bytes, the length of its hash, and has %d", least, len(secret))
	}
	return secret, err
}

func decodeSecret(text string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, base64Prefix)
	if !ok {
		if strings.TrimSpace(text) != text {
			return nil, errors.New("must not begin or end with white space, as with the line break of a file")
		}
		return []byte(text), nil
	}
	encoded = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(encoded, "="))
	secret, err := base64.RawStdEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return nil, errors.New("begins with " + base64Prefix + " and has no base64 behind it")
	}
	return secret, nil
}

// LeastSecret is how many bytes a secret must have: as many as the longest hash of
// the algorithms. One that is shorter is easier to guess than the MAC (RFC 7518,
// section 3.2). 32 of what is no such algorithm.
func LeastSecret(algorithms []string) int {
	least := 32
	for _, a := range algorithms {
		least = max(least, map[string]int{"HS384": 48, "HS512": 64}[a])
	}
	return least
}

func (c *checker) sharedSecrets(at *place, j *JWT) {
	least := LeastSecret(j.Algorithms)
	c.secretEnv(at.key("secretEnv"), j.SecretEnv, sharedSecretRule(j.SecretEnv, least))
	if j.PreviousSecretEnv != "" {
		c.must(j.PreviousSecretEnv != j.SecretEnv, at.key("previousSecretEnv"), "must not be the variable of secretEnv")
		c.secretEnv(at.key("previousSecretEnv"), j.PreviousSecretEnv, sharedSecretRule(j.PreviousSecretEnv, least))
	}
}

// sharedSecretRule judges the variable of a secret of at least so many bytes.
func sharedSecretRule(name string, least int) string {
	if rule := secretEnvRule(name); rule != "" {
		return rule
	}
	if _, err := TokenSecret(os.Getenv(name), least); err != nil {
		return "names a secret that " + err.Error()
	}
	return ""
}
