package sops_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/google/go-cmp/cmp"

	"github.com/mainstay-dev/mainstay/spec/sops"
	"github.com/mainstay-dev/mainstay/spec/sops/sopstest"
)

// testKey is the identity that the files in testdata are encrypted for.
func testKey(t testing.TB) age.Identity {
	t.Helper()
	f, err := os.Open("testdata/test-key.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := age.ParseIdentities(f)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// dataKey decrypts the key of a file, for whichever recipient the identity is.
func dataKey(t testing.TB, f *sops.File, identity age.Identity) []byte {
	t.Helper()
	for _, r := range f.Recipients() {
		plain, err := age.Decrypt(armor.NewReader(strings.NewReader(r.Encrypted)), identity)
		if err != nil {
			continue
		}
		key, err := io.ReadAll(plain)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	t.Fatal("the file is for nobody we know")
	return nil
}

// TestReadsWhatSOPSWrites reads files of SOPS itself, with values of all types, comments, lists and rules about what is
// encrypted.
func TestReadsWhatSOPSWrites(t *testing.T) {
	all := map[string]string{"github.token": "a-token-of-the-forge", "github.id": "4711", "github.rate": "2.5", "github.on": "true", "github.off": "false",
		"github.since": "2026-01-31T00:00:00Z", "tls.crt": "first line\nsecond line\n", "quoted": "ENC[looks like one", "unicode": "鍵 🔑"}
	for name, want := range map[string]map[string]string{
		"all.yaml":     all,
		"all.json":     {"github.token": "a-token-of-the-forge", "github.id": "4711", "github.rate": "2.5", "github.on": "true", "html": "<a>&é"},
		"regex.yaml":   {"github.token": "a-token-of-the-forge"},
		"maconly.yaml": {"github.token": "a-token-of-the-forge"},
		"binary.json":  {"data": "a binary secret"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := sops.Parse(name, read(t, name))
			if err != nil {
				t.Fatal(err)
			}
			opened, err := f.Open(dataKey(t, f, testKey(t)))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, key := range f.Keys() {
				if f.Check(key) == nil {
					if got[key], err = opened.Value(key); err != nil {
						t.Error(err)
					}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if text := fmt.Sprintf("%v %+v %#v %s", opened, opened, opened, opened); strings.Contains(text, "forge") {
				t.Errorf("it shows %s", text)
			}
		})
	}
}

// TestWhatIsWrong says what is told of files and keys that are no good, all without a key to decrypt them.
func TestWhatIsWrong(t *testing.T) {
	whole := string(read(t, "all.yaml"))
	for _, test := range []struct{ name, file, content, key, want string }{
		{"in the clear", "a.yaml", "github: {token: x}\n", "github.token", "it is not encrypted: it has no metadata of SOPS"},
		{"in the clear, in JSON", "a.json", `{"token": "x"}`, "token", "it is not encrypted: it has no metadata of SOPS"},
		{"metadata alone", "a.yaml", "token: x\nsops: {}\n", "token", "it is not encrypted: it has no metadata of SOPS"},
		{"metadata that is none", "a.yaml", "token: x\nsops: {mac: [1]}\n", "token", "its sops metadata cannot be read"},
		{"no age", "a.yaml", "token: x\nsops: {mac: x, pgp: [{}]}\n", "token", "it is not encrypted for any age recipient"},
		{"key groups", "a.yaml", "token: x\nsops: {mac: x, shamir_threshold: 2, key_groups: [{}]}\n", "token", "its key is split among groups"},
		{"not YAML", "a.yaml", "hunter2: [", "token", "it cannot be read as YAML"},
		{"not a map", "a.yaml", "- hunter2\n", "token", "it cannot be read as a map in YAML"},
		{"nothing", "a.yaml", "", "token", "it cannot be read as YAML"},
		{"two documents", "a.yaml", whole + "---\na: b\n", "token", "it holds more than one document"},
		{"an alias", "a.yaml", "a: &x hunter2\nb: *x\n", "token", "there is an alias in line 2"},
		{"a field twice", "a.yaml", "a: x\nb: y\na: z\n", "a", `it holds "a" twice`},
		{"a field that is no text", "a.yaml", "1: x\n", "a", "the name of a field in line 1 is not a text"},
		{"an unknown tag", "a.yaml", "a: !!binary eA==\nb: 18446744073709551615\n", "a", "the value in line 2 is of a kind that SOPS does not know"},
		{"not JSON", "a.json", `{"a": hunter2`, "a", "it cannot be read as JSON"},
		{"JSON that ends", "a.json", `{"a": [1, `, "a", "it cannot be read as JSON"},
		{"JSON and more", "a.json", `{} {}`, "a", "it cannot be read as one JSON object"},
		{"a JSON list", "a.json", `[1]`, "a", "it cannot be read as one JSON object"},
		{"another format", "a.env", "A=b", "A", "it is neither YAML nor JSON"},
		{"deep", "a.json", strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), "a", "nested deeper than 64 levels"},
		{"wide", "a.json", `{"a": [` + strings.Repeat("1,", 20_000) + "1]}", "a", "it holds more than 10000 values"},
		{"large", "a.yaml", "a: " + strings.Repeat("x", sops.MaxFile), "a", "it is larger than 1024 KiB"},
		{"no such key", "a.yaml", whole, "github.tokn", `it holds no "github.tokn" (did you mean "github.token"?)`},
		{"a map", "a.yaml", whole, "github", `"github" is a map there`},
		{"a list", "a.yaml", whole, "hosts", `"hosts" is in a list there`},
		{"a value in a list", "a.yaml", whole, "hosts.name", `"hosts.name" is in a list there`},
		{"a value in the clear", "a.yaml", whole, "plain_unencrypted", `the value of "plain_unencrypted" is not encrypted`},
		{"a number in the clear", "a.yaml", whole, "number_unencrypted", `the value of "number_unencrypted" is not encrypted`},
		{"an empty value", "a.yaml", whole, "github.blank", `"github.blank" is empty there`},
		{"null", "a.yaml", whole, "github.nothing", `"github.nothing" is empty there`},
		{"the metadata", "a.yaml", whole, "sops.mac", `it holds no "sops.mac"`},
		{"two of one name", "a.yaml", strings.Replace(whole, "tls.crt:", "a: {b: x}\na.b:", 1), "a.b", `it holds two values that are "a.b"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := sops.Parse(test.file, []byte(test.content))
			if err == nil {
				err = f.Check(test.key)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestWhatWasChangedIsNotRead changes a file by hand, as somebody without its key could.
func TestWhatWasChangedIsNotRead(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"a value in the clear": func(s string) string { return strings.Replace(s, "in the clear", "on the clear", 1) },
		"a value taken out": func(s string) string {
			return s[:strings.Index(s, "quoted:")] + s[strings.Index(s, "unicode:"):]
		},
		"two values swapped": func(s string) string {
			return strings.NewReplacer("quoted:", "unicode:", "unicode:", "quoted:").Replace(s)
		},
		"a value put in": func(s string) string { return "new: value\n" + s },
		"a value opened": func(s string) string {
			at := strings.Index(s, "quoted: ENC")
			return s[:at] + "quoted: mine" + s[at+strings.Index(s[at:], "\n"):]
		},
		"the time":               func(s string) string { return strings.Replace(s, "lastmodified: \"2026", "lastmodified: \"2027", 1) },
		"no time":                func(s string) string { return strings.Replace(s, "lastmodified:", "last:", 1) },
		"a text made true":       asType("token", "str", "bool"),
		"a text made a number":   asType("token", "str", "int"),
		"a text made a fraction": asType("token", "str", "float"),
		"a text made a time":     asType("token", "str", "time"),
		"a text made a comment":  asType("token", "str", "comment"),
		"a kind that is none":    asType("token", "str", "text"),
		"the other MAC": func(s string) string {
			return strings.Replace(s, "sops:\n", "sops:\n    mac_only_encrypted: true\n", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := string(read(t, "all.yaml"))
			after := change(before)
			if after == before {
				t.Fatal("nothing was changed")
			}
			f, err := sops.Parse("all.yaml", []byte(after))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Open(dataKey(t, f, testKey(t))); err == nil || !strings.Contains(err.Error(), "changed by hand") {
				t.Errorf("got %v", err)
			}
		})
	}
	f, err := sops.Parse("all.yaml", read(t, "all.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range [][]byte{nil, make([]byte, 16), make([]byte, 32)} {
		if _, err := f.Open(key); err == nil {
			t.Errorf("a key of %d zeros opens the file", len(key))
		}
	}
}

// TestEncryptIsReadAgain checks the files that other tests make.
func TestEncryptIsReadAgain(t *testing.T) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{"github.token": "a", "github.id": "b", "plain": "c: d\n"}
	content, err := sopstest.Encrypt(values, identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	f, err := sops.Parse("a.yaml", content)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := f.Open(dataKey(t, f, identity))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if got, err := opened.Value(key); err != nil || got != values[key] {
			t.Errorf("%s is %q, %v", key, got, err)
		}
	}
}

// asType changes what kind of value the one with a name is said to be, which SOPS does not authenticate.
func asType(name, from, to string) func(string) string {
	return func(s string) string {
		at := strings.Index(s, " "+name+": ENC")
		return s[:at] + strings.Replace(s[at:], "type:"+from+"]", "type:"+to+"]", 1)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"all.yaml", "all.json", "regex.yaml", "maconly.yaml", "binary.json"} {
		f.Add(strings.HasSuffix(name, ".json"), read(f, name))
	}
	f.Add(false, []byte("a: &a [*a]\nsops: {mac: x, age: [{recipient: a, enc: b}]}\n"))
	f.Add(true, []byte(`{"a": {"": [{}, []]}, "sops": {"mac": "x", "age": [{}]}}`))
	key := bytes.Repeat([]byte{1}, 32)
	f.Fuzz(func(t *testing.T, json bool, content []byte) {
		name := "a.yaml"
		if json {
			name = "a.json"
		}
		file, err := sops.Parse(name, content)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("the error is more than one line: %q", err)
			}
			return
		}
		for _, k := range file.Keys() {
			file.Check(k)
		}
		if _, err := file.Open(key); err == nil && len(content) > 0 {
			t.Error("a key that nobody has opens the file")
		}
	})
}
