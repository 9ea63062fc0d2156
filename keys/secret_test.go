package keys

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestSecretIsNotPrinted(t *testing.T) {
	key := newKey(t)
	type holder struct {
		Shown  Secret
		hidden Secret
	}
	for name, value := range map[string]any{
		"itself":            key.Secret,
		"pointer":           &key.Secret,
		"key":               key,
		"unexported field":  holder{Shown: key.Secret, hidden: key.Secret},
		"pointer to fields": &holder{Shown: key.Secret, hidden: key.Secret},
		"slice":             []Secret{key.Secret},
		"map":               map[string]Secret{"key": key.Secret},
	} {
		secret := key.Secret.Reveal()[checksumStart-secretChars:]
		for where, text := range writings(t, value) {
			if strings.Contains(text, secret) || strings.Contains(strings.ToLower(text), hex.EncodeToString([]byte(secret))) {
				t.Errorf("%s, written by %s: %s", name, where, text)
			}
		}
	}
}

// writings returns value as all the ways of a program to write it do.
func writings(t *testing.T, value any) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		texts[verb] = fmt.Sprintf(verb, value)
	}
	asJSON, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	texts["JSON"], texts["YAML"] = string(asJSON), string(asYAML)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("made", "key", value)
	slog.New(slog.NewTextHandler(&log, nil)).Info("made", "key", value)
	texts["slog"] = log.String()
	return texts
}

func TestZeroSecretHoldsNothing(t *testing.T) {
	if text := (Secret{}).Reveal(); text != "" {
		t.Errorf("Reveal = %q, want nothing", text)
	}
}
