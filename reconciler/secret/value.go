package secret

import (
	"fmt"
	"log/slog"
)

// Value is a secret. It shows itself to nobody who does not ask with [Value.Reveal]: fmt, encoding/json, YAML and log/slog
// all write `[redacted]`. The zero value is an empty secret.
type Value struct{ text *string }

// NewValue returns the secret that text is.
func NewValue(text string) Value { return Value{&text} }

// Reveal returns the secret itself.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// String hides the secret.
func (v Value) String() string { return Redacted }

// GoString hides the secret.
func (v Value) GoString() string { return Redacted }

// Format hides the secret, whatever the verb.
func (v Value) Format(f fmt.State, _ rune) { fmt.Fprint(f, Redacted) }

// LogValue hides the secret.
func (v Value) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText hides the secret, in JSON and YAML too.
func (v Value) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
