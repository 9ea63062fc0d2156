package keys

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted key]"

// Secret is the text of a key on its way to the one person who is shown it. It
// prints, logs and marshals as "[redacted key]"; only Reveal gives the text.
// The zero value holds no text.
type Secret struct {
	// A pointer, because fmt calls no methods on the unexported fields of
	// somebody's struct: there it prints an address, where it would print a string.
	text *string
}

func newSecret(text string) Secret { return Secret{text: &text} }

// Reveal returns the text. It is for showing a new key once, and for nothing else.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String returns a placeholder, never the text.
func (Secret) String() string { return redacted }

// Format writes the placeholder for every verb, %#v and %x included.
func (Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue returns the placeholder for slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns the placeholder for JSON, YAML and other encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
