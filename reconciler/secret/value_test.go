package secret_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/mainstay-dev/mainstay/reconciler/secret"
)

// TestAValueShowsItselfToNobody prints a secret in every way there is.
func TestAValueShowsItselfToNobody(t *testing.T) {
	v := secret.NewValue("hunter2")
	if v.Reveal() != "hunter2" || (secret.Value{}).Reveal() != "" {
		t.Fatal("it does not reveal what it was made of")
	}
	type holder struct {
		Shown  secret.Value
		hidden secret.Value
		p      *secret.Value
	}
	h := holder{v, v, &v}
	var out bytes.Buffer
	for _, what := range []any{v, &v, h, &h, []secret.Value{v}, map[string]secret.Value{"a": v}, errors.Join(fmt.Errorf("%w %v", errors.New("x"), v))} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
			fmt.Fprintf(&out, verb+"\n", what)
		}
		fmt.Fprintln(&out, what)
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("started", "secret", v, "pointer", &v, "holder", h, "list", []secret.Value{v})
	}
	for _, encode := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		raw, err := encode(map[string]any{"value": v, "holder": h, "pointer": &v})
		if err != nil {
			t.Error(err)
		}
		out.Write(raw)
	}
	for _, form := range []string{"hunter2", "68756e74657232", "68756E74657232", "104 117 110"} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%q is shown in:\n%s", form, out.String())
		}
	}
	if n := strings.Count(out.String(), "[redacted]"); n < 30 {
		t.Errorf("only %d times [redacted]:\n%s", n, out.String())
	}
}
