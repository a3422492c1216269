package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mainstay-dev/mainstay/reconciler/secret"
)

func hide(text string, secrets ...string) string {
	return secret.NewHider(secrets, secret.MinHidden).Text(text)
}

// TestTheFormsOfASecret writes secrets as programs in several languages do.
func TestTheFormsOfASecret(t *testing.T) {
	const pem = "-----BEGIN PRIVATE KEY-----\nTWFpbnN0YXktMDEyMzQ1Njc4OQ==\nshort\n-----END PRIVATE KEY-----\n"
	for _, test := range []struct{ name, secret, text, want string }{
		{"as it is", "hunter2\n", "it is hunter2\n.", "it is [redacted]."},
		{"trimmed", " hunter2 \n", "it is hunter2.", "it is [redacted]."},
		{"trimmed within JSON", "hunter2\n", `{"token": "hunter2"}`, `{"token": "[redacted]"}`},
		{"JSON", "a\"b\\c\nd<e", `{"token": "a\"b\\c\nd<e"}`, `{"token": "[redacted]"}`},
		{"JSON that is safe in HTML", "a\"b\\c\nd<e", `{"token": "a\"b\\c\nd\u003ce"}`, `{"token": "[redacted]"}`},
		{"JSON in ASCII", "Schlüssel 🔑", `"Schl\u00fcssel \ud83d\udd11"`, `"[redacted]"`},
		{"JSON of PHP", "abc/def/ü", `"abc\/def\/\u00fc"`, `"[redacted]"`},
		{"JSON in JSON", "a\"b\ncd", `"{\"token\": \"a\\\"b\\ncd\"}"`, `"{\"token\": \"[redacted]\"}"`},
		{"%q of Go", "ab\x01\x02\"cd", `"ab\x01\x02\"cd"`, `"[redacted]"`},
		{"repr of Python", `a"b\c` + "\ndef", `'a"b\\c\ndef'`, `'[redacted]'`},
		{"repr of Python with both quotes", `a"b'c` + "\ndef\x1b", `'a"b\'c\ndef\x1b'`, `'[redacted]'`},
		{"HTML", "a<b>&\"c", "a&lt;b&gt;&amp;&#34;c", "[redacted]"},
		{"a form", "a b/c+d=", "token=a+b%2Fc%2Bd%3D&x", "token=[redacted]&x"},
		{"a URL", "a b/c+d=", "a%20b%2Fc%2Bd%3D", "[redacted]"},
		{"a password in a URL", "p@ss w/rd$", "https://me:p%40ss%20w%2Frd$@host", "https://me:[redacted]@host"},
		{"encodeURIComponent", "a b/c!(d)", "a%20b%2Fc!(d)", "[redacted]"},
		{"quote of Python", "a b/c!(d)", "a%20b/c%21%28d%29", "[redacted]"},
		{"base64", "hunter2", "aHVudGVyMg==", "[redacted]"},
		{"base64 for URLs", "???>>>???", "Pz8_Pj4-Pz8_", "[redacted]"},
		{"bytes that are no UTF-8", "ab\xff\xfecdef", "ab\uFFFD\uFFFDcdef", "[redacted]"},
		{"a line", pem, "TWFpbnN0YXktMDEyMzQ1Njc4OQ== short", "[redacted] short"},
		{"all lines", pem, "x " + pem + " x", "x [redacted] x"},
		{"all lines, for Windows", pem, strings.ReplaceAll(pem, "\n", "\r\n"), "[redacted]\r\n[redacted]\r\nshort\r\n[redacted]\r\n"},
		{"a short one", "a\nb", `a\nb YQpi`, `a\nb YQpi`},
		{"blanks alone", "        ", "x  y", "x  y"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := hide(test.text, test.secret); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if !secret.NewHider([]string{test.secret}, secret.MinHidden).Holds(test.text) && test.text != test.want {
				t.Error("it does not hold a secret")
			}
		})
	}
}

// TestNoEncoderTellsASecret lets every encoder that this language has write any secret, with the blanks around it and
// without, between any neighbours.
func TestNoEncoderTellsASecret(t *testing.T) {
	inJSON := func(escape bool) func(string) string {
		return func(s string) string {
			var out bytes.Buffer
			e := json.NewEncoder(&out)
			e.SetEscapeHTML(escape)
			if err := e.Encode(s); err != nil {
				t.Error(err)
			}
			return out.String()[1 : out.Len()-2]
		}
	}
	unquoted := func(s string) string { return s[1 : len(s)-1] }
	encoders := map[string]func(string) string{
		"none": func(s string) string { return s }, "JSON": inJSON(false), "JSON for HTML": inJSON(true),
		"%q": func(s string) string { return unquoted(strconv.Quote(s)) }, "%+q": func(s string) string { return unquoted(strconv.QuoteToASCII(s)) },
		"query": url.QueryEscape, "path": url.PathEscape, "HTML": html.EscapeString,
		"base64":     func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64 URL": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	}
	rapid.Check(t, func(t *rapid.T) {
		core := rapid.StringMatching(`[!-~][ -~\n\t\x01é鍵🔑]{5,40}[!-~]`).Draw(t, "core")
		value := rapid.StringMatching(`[ \n]{0,2}`).Draw(t, "before") + core + rapid.StringMatching(`[ \n]{0,2}`).Draw(t, "after")
		before, after := rapid.StringMatching(`[#\[]{0,5}`).Draw(t, "text before"), rapid.StringMatching(`[#\]]{0,5}`).Draw(t, "text after")
		hider := secret.NewHider([]string{value}, secret.MinHidden)
		for name, encode := range encoders {
			for _, told := range []string{value, core} {
				text := before + encode(told) + after
				got := hider.Text(text)
				if !strings.Contains(got, secret.Redacted) || len(got) > len(before)+len(after)+len(secret.Redacted)+len(encode(value))-len(encode(core)) && got != before+secret.Redacted+after {
					t.Fatalf("%s: %q becomes %q", name, text, got)
				}
			}
		}
	})
}

// TestASecretInsideOfBase64 is told in the header of HTTP's basic authentication, behind names of all lengths.
func TestASecretInsideOfBase64(t *testing.T) {
	const value = "hunter2-and-more"
	for n := range 6 {
		for after := range 4 {
			text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("u", n) + value + strings.Repeat("v", after)))
			got := hide(text, value)
			for i := range len(text) - 7 {
				inside := text[i : i+8]
				raw, err := base64.StdEncoding.DecodeString(inside)
				if err == nil && strings.Contains(value, string(raw)) && strings.Contains(got, inside) {
					t.Errorf("%q becomes %q", text, got)
				}
			}
			if !strings.Contains(got, secret.Redacted) {
				t.Errorf("%q becomes %q", text, got)
			}
		}
	}
}

// TestASecretThatIsANumber is told as one, in ways in which a number may be written.
func TestASecretThatIsANumber(t *testing.T) {
	h := secret.NewHider([]string{"8675309123", "12345678901234567890", "000000"}, secret.MinHidden)
	value := map[string]any{
		"a": json.Number("8675309123"), "b": 8675309123.0, "c": json.Number("8.675309123e9"), "d": json.Number("18675309123.5"), "e": 12345678901234567890.0,
		"f": json.Number("867530912"), "g": []any{1.5, 0.0, json.Number("0"), true, nil},
	}
	want := map[string]any{"a": "[redacted]", "b": "[redacted]", "c": "[redacted]", "d": "[redacted]", "e": "[redacted]",
		"f": json.Number("867530912"), "g": []any{1.5, 0.0, json.Number("0"), true, nil}}
	if diff := cmp.Diff(want, h.Value(value)); diff != "" {
		t.Error(diff)
	}
}

// TestManyAndLongSecretsCostLittle builds a hider of secrets that are hard for algorithms that prepare a table.
func TestManyAndLongSecretsCostLittle(t *testing.T) {
	begin := time.Now()
	secrets := []string{strings.Repeat("x", 200_000), strings.Repeat("x", 1<<20), strings.Repeat("line of a long secret\n", 20_000)}
	for i := range 1000 {
		secrets = append(secrets, fmt.Sprintf("token-number-%d/%x", i, i*i))
	}
	h := secret.NewHider(secrets, secret.MinHidden)
	text := strings.Repeat("nothing to hide, tokens aside. ", 30_000)
	if got := h.Text(text); got != text {
		t.Error("it hides what is no secret")
	}
	if got := h.Text("a " + secrets[0] + " b"); got != "a [redacted] b" {
		t.Errorf("got %.100q", got)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("it takes %s", took)
	}
}
