package audit_test

import (
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/reconciler/audit"
	"github.com/mainstay-dev/mainstay/spec/pgp/pgptest"
)

const (
	adaLine = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG0tGbQmNqMS5JlWbPkhaSZoY7Vq0WkuHwU0rzJv0Xqv Ada Lovelace"
	bobLine = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHlnZJ5QJ8v0M0p2f0hU2m0m2o6ZQ5C0eR7m9b2p8c0n"
)

func TestApproversAreReadFromAFile(t *testing.T) {
	keys, err := audit.ParseApprovers("# who approves\n\n" + adaLine + "\r\n" + bobLine)
	if err != nil || len(keys) != 2 || keys[0].Name != "Ada Lovelace" || keys[1].Name != "line 4" {
		t.Errorf("the keys are %v, %v", keys, err)
	}
	pgp := pgptest.Public(t, pgptest.New(t, "grace"))
	keys, err = audit.ParseApprovers(adaLine + "\n# Grace\n" + pgp + "\n" + bobLine)
	if err != nil || len(keys) != 3 || keys[1].PGP == nil || keys[1].Name != "line 3" || keys[2].SSH == nil {
		t.Errorf("the keys are %v, %v", keys, err)
	}
	for text, want := range map[string]string{
		"\n" + pgp[:200]:        "2: the OpenPGP key does not end",
		"":                      "1: no key",
		"# nobody\n":            "1: no key",
		adaLine + "\nhello":     "2: ",
		"from=\"x\" " + adaLine: "1: ",
	} {
		if _, err := audit.ParseApprovers(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzApprovers(f *testing.F) {
	f.Add(adaLine + "\n# more\n" + bobLine)
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := audit.ParseApprovers(text)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys and %v", len(keys), err)
		}
		for _, k := range keys {
			if k.Fingerprint() == "" || k.Name == "" {
				t.Fatalf("a key is %+v", k)
			}
		}
	})
}
