package broker

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/mainstay-dev/mainstay/reconciler/secret"
	"github.com/mainstay-dev/mainstay/spec"
)

// Redacted stands where a secret was.
const Redacted = secret.Redacted

// Redactor replaces secrets in texts, in every form that [secret.Hider] knows. It is safe for concurrent use.
type Redactor struct {
	secrets func() []string

	mu    sync.Mutex
	of    []string // what hider hides, sorted
	hider *secret.Hider
}

// NewRedactor returns a Redactor of the values that secrets returns; it is asked anew for each text. Values shorter than
// six bytes are left alone.
func NewRedactor(secrets func() []string) *Redactor {
	return &Redactor{secrets: secrets, hider: secret.NewHider(nil, secret.MinHidden)}
}

// now hides the values of this moment.
func (r *Redactor) now() *secret.Hider {
	values := slices.Sorted(slices.Values(r.secrets()))
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(values, r.of) {
		r.of, r.hider = values, secret.NewHider(values, secret.MinHidden)
	}
	return r.hider
}

// Text returns text without secrets. Where secrets overlap all of them are gone.
func (r *Redactor) Text(text string) string { return r.now().Text(text) }

// Holds reports whether text holds a secret.
func (r *Redactor) Holds(text string) bool { return r.now().Holds(text) }

// Value returns a JSON value (maps, slices, strings, numbers and so on) without secrets, in keys as in strings. A number that
// is or holds one becomes a string. What it changes is a copy.
func (r *Redactor) Value(value any) any { return r.now().Value(value) }

// Stream returns a stream that gives clean pieces to out. It knows the secrets of the moment when the first piece comes:
// those that whoever writes it was given are among them.
func (r *Redactor) Stream(out func(string)) *secret.Stream { return secret.NewStream(r.now, out) }

// Error returns an error without secrets in its text, that callers can branch on as they can on err. What a server says of
// its tools is cleaned before a [*spec.LockMismatch] compares it word by word: a secret in pieces is not found any more.
func (r *Redactor) Error(err error) error {
	hider := r.now()
	m, ok := errors.AsType[*spec.LockMismatch](err)
	if !ok {
		return hider.Error(err)
	}
	clean := *m
	clean.Changes = slices.Clone(m.Changes)
	for i := range clean.Changes {
		c := &clean.Changes[i]
		c.Tool, c.Field, c.From, c.To = hider.Text(c.Tool), hider.Text(c.Field), hider.Text(c.From), hider.Text(c.To)
	}
	text := hider.Text(strings.ReplaceAll(err.Error(), m.Error(), clean.Error()))
	return &redactedMismatch{text: text, clean: &clean, err: err}
}

// redactedMismatch is an error with a mismatch, which is another one for whoever takes it out.
type redactedMismatch struct {
	text  string
	clean *spec.LockMismatch
	err   error
}

func (r *redactedMismatch) Error() string { return r.text }

func (r *redactedMismatch) Unwrap() error { return r.err }

// As takes out the mismatch.
func (r *redactedMismatch) As(target any) bool {
	m, ok := target.(**spec.LockMismatch)
	if ok {
		*m = r.clean
	}
	return ok
}
