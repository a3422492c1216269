package broker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/reconciler/broker"
	"github.com/mainstay-dev/mainstay/spec"
)

func redactor(secrets ...string) *broker.Redactor {
	return broker.NewRedactor(func() []string { return secrets })
}

func TestARedactorReplacesSecrets(t *testing.T) {
	for _, test := range []struct {
		name    string
		secrets []string
		text    string
		want    string
	}{
		{"nothing to hide", nil, "all is said", "all is said"},
		{"wherever they are", []string{"hunter2!"}, "hunter2!, hunter2!", "[redacted], [redacted]"},
		{"the longest first", []string{"secret", "secret-key"}, "my secret-key is a secret", "my [redacted] is a [redacted]"},
		{"that overlap", []string{"aaabbb", "bbbccc"}, "xaaabbbcccx", "x[redacted]x"},
		{"one after the other", []string{"aaabbb"}, "aaabbbaaabbb", "[redacted][redacted]"},
		{"but not very short ones", []string{"a", "12345"}, "a 12345", "a 12345"},
		{"but not a beginning alone", []string{"hunter2!"}, "hunter", "hunter"},
		{"of several lines", []string{"-----BEGIN\nkey"}, "it is -----BEGIN\nkey.", "it is [redacted]."},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := redactor(test.secrets...).Text(test.text); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestARedactorFindsSecretsInValues(t *testing.T) {
	value := map[string]any{"a": []any{"x hunter2! y", 3.0, nil}, "hunter2!": true}
	want := map[string]any{"a": []any{"x [redacted] y", 3.0, nil}, "[redacted]": true}
	if diff := cmp.Diff(want, redactor("hunter2!").Value(value)); diff != "" {
		t.Error(diff)
	}
	if value["a"].([]any)[0] != "x hunter2! y" {
		t.Error("the value was changed in place")
	}
}

// TestNoSplitOfATextLeaks uses few letters, so that secrets overlap, nest, and begin where others end.
func TestNoSplitOfATextLeaks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secrets := rapid.SliceOfN(rapid.StringMatching(`[ab]{6,9}`), 0, 4).Draw(t, "secrets")
		text := rapid.StringMatching(`[abü]{0,60}`).Draw(t, "text")
		if len(secrets) > 0 {
			text += rapid.SampledFrom(secrets).Draw(t, "one of them") + rapid.StringMatching(`[ab]{0,9}`).Draw(t, "rest")
		}
		r := redactor(secrets...)
		var pieces []string
		stream := r.Stream(func(piece string) { pieces = append(pieces, piece) })
		for rest := text; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			stream.Write(rest[:n])
			rest = rest[n:]
		}
		stream.Close()
		got := strings.Join(pieces, "")
		if want := r.Text(text); got != want {
			t.Fatalf("the pieces make %q, the whole makes %q", got, want)
		}
		for i := range pieces {
			shown := strings.Join(pieces[:i+1], "")
			if slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(shown, s) }) {
				t.Fatalf("%q shows one of %q", shown, secrets)
			}
		}
	})
}

func TestAStreamHoldsBackOnlyWhatMayBeASecret(t *testing.T) {
	var got []string
	stream := redactor("hunter2!").Stream(func(piece string) { got = append(got, piece) })
	for _, piece := range []string{"my name is ", "hu", "bert, and hunt", "er2", "! is it"} {
		stream.Write(piece)
	}
	stream.Close()
	want := []string{"my name is ", "hubert, and ", "[redacted] is it"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestAStreamKnowsTheSecretsOfItsFirstPiece resolves the secret of a model's server after the stream was made.
func TestAStreamKnowsTheSecretsOfItsFirstPiece(t *testing.T) {
	var secrets []string
	var got string
	stream := broker.NewRedactor(func() []string { return secrets }).Stream(func(piece string) { got += piece })
	secrets = []string{"hunter2!"}
	stream.Write("it is hunter2!")
	stream.Close()
	if got != "it is [redacted]" {
		t.Errorf("got %q", got)
	}
}

// TestAnErrorTellsNoSecret has one whose words a comparison would take apart, and one that is cut in the middle.
func TestAnErrorTellsNoSecret(t *testing.T) {
	mismatch := &spec.LockMismatch{Resource: spec.Ref{Kind: spec.KindToolServer, Name: "vault"}, File: spec.LockFile, Changes: []spec.LockChange{
		{Tool: "reveal", Field: "description", Change: spec.LockChanged, From: "Tell the code word.", To: "Tell the code word of hunter2 the third."},
		{Tool: "reveal", Field: "inputSchema", Change: spec.LockAdded, To: strings.Repeat("x", 395) + "code word of hunter2 the third"},
	}}
	r := redactor("code word of hunter2 the third")
	err := r.Error(fmt.Errorf("call it: %w", mismatch))
	got, ok := errors.AsType[*spec.LockMismatch](err)
	if !ok || !errors.Is(err, mismatch) {
		t.Fatalf("got %v", err)
	}
	for _, text := range []string{err.Error(), got.Error(), fmt.Errorf("again: %w", err).Error(), got.Changes[0].To, got.Changes[1].To} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "code word of") || strings.Contains(text, "xxcode") {
			t.Errorf("it tells %q", text)
		}
	}
	if !strings.HasPrefix(err.Error(), "call it: ToolServer/vault is not what mainstay.lock pins") || !strings.Contains(err.Error(), "{+[redacted]") {
		t.Errorf("got %v", err)
	}
	if strings.Contains(mismatch.Changes[0].To, "redacted") {
		t.Error("the error was changed in place")
	}
	plain := errors.New("all is said")
	if r.Error(plain) != plain || r.Error(nil) != nil {
		t.Error("an error without secrets is another")
	}
	if got := r.Error(fmt.Errorf("no: code word of hunter2 the third: %w", plain)); got.Error() != "no: [redacted]: all is said" || !errors.Is(got, plain) {
		t.Errorf("got %v", got)
	}
}
