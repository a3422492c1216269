package ingest

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/kb"
)

func TestWhatIsRenderedStandsBehindTheTemplate(t *testing.T) {
	d, err := ReadRendered(t.Context(), "chart/templates/a.yaml", []byte("apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Values.name }}\n"), []kb.Rendered{
		{From: "Helm chart shop", Text: "apiVersion: v1\nkind: Service\nmetadata:\n  name: cart\n", First: 1, Last: 4},
		{From: "Helm chart shop", Text: "apiVersion: v1\nkind: Secret\nmetadata: {name: cart}\ndata:\n  password: aHVudGVyMg==\n", First: 2, Last: 3},
		{From: "Helm chart shop", Text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cart}\ndata: {url: \"cart/hunter2\"}\n", First: 2, Last: 3},
	}, []string{"hunter2"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	const want = `manifest "Service"

=== 1-4 Service
apiVersion: v1
kind: Service
metadata:
  name: {{ .Values.name }}

=== 1-4 Helm chart shop > Service cart
apiVersion: v1
kind: Service
metadata:
  name: cart

=== 2-3 Helm chart shop > Secret cart
apiVersion: v1
kind: Secret
metadata: {name: cart}
data:
  password: (secret left out)

=== 2-3 Helm chart shop > ConfigMap cart
apiVersion: v1
kind: ConfigMap
metadata: {name: cart}
data: {url: "cart/(secret left out)"}
`
	if got := shown(d); got != want {
		t.Errorf("got\n%s\nand not\n%s", got, want)
	}
}

func TestWhatIsLeftOutIsLeftOutWhereverItIsRendered(t *testing.T) {
	files := map[string][]byte{
		"values.yaml":        []byte("db: {password: correct-horse, user: cart}\ncache:\n  token: told-in-the-guide\n"),
		"guide.md":           []byte("The token is told-in-the-guide.\n"),
		"templates/a.yaml":   []byte("a: {{ .Values.db.password }}\n"),
		"broken.yaml":        []byte("password: [\n"),
		"logo.png":           []byte("\x00password: x"),
		"kustomization.yaml": []byte("secretGenerator:\n  - name: a\n    literals: [pin=4711-0815]\n"),
	}
	got := Secrets(files, []kb.Rendered{{Text: "kind: Secret\nstringData: {a: from-elsewhere}\ndata: {b: " + base64.StdEncoding.EncodeToString([]byte("in-base64")) + "}\n"}})
	for _, want := range []string{"correct-horse", "4711-0815", "from-elsewhere", "in-base64"} {
		if !slices.Contains(got, want) || !slices.Contains(got, base64.StdEncoding.EncodeToString([]byte(want))) {
			t.Errorf("%s is not among %q", want, got)
		}
	}
	// What a document tells anyway is no secret, and would take words out of others.
	for _, not := range []string{"told-in-the-guide", "cart", "x"} {
		if slices.Contains(got, not) {
			t.Errorf("%s is among %q", not, got)
		}
	}
}

// A render is read by the same parsers as a file is.
func TestRenderedHostile(t *testing.T) {
	for name, text := range map[string]string{
		"nothing": "", "no YAML": "a: [", "flow in flow": strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "invalid UTF-8": "a: \xff\xfe\n", "many marks": strings.Repeat("---\n", 1000),
		"lines beyond the file": "apiVersion: v1\nkind: A\n",
	} {
		if _, err := ReadRendered(t.Context(), "a.yaml", []byte("a: b\n"), []kb.Rendered{{Text: text, First: 1000, Last: 2000}}, nil, Options{}); err != nil && !strings.Contains(err.Error(), "(") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRendered(f *testing.F) {
	f.Add("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {password: hunter22}\n", "hunter22")
	f.Add("a: &a [*a]\n---\n", "---")
	f.Fuzz(func(t *testing.T, text, secret string) {
		secrets := Secrets(map[string][]byte{"a.yaml": []byte(text)}, []kb.Rendered{{Text: text}})
		if secret != "" {
			secrets = append(secrets, secret)
		}
		d, err := ReadRendered(t.Context(), "a.yaml", []byte("a: b\n"), []kb.Rendered{{Text: text, First: 1, Last: 1}}, secrets, Options{})
		if err != nil {
			return
		}
		for _, c := range d.Chunks {
			if c.First != 1 || c.Last != 1 {
				t.Errorf("a chunk is of the lines %d to %d", c.First, c.Last)
			}
		}
	})
}
