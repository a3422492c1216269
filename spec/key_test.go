package spec

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func line(t *testing.T, public any) string {
	t.Helper()
	k, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))
}

func TestParseKey(t *testing.T) {
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good := line(t, ed)
	for _, tt := range []struct{ name, line, want string }{
		{"an ed25519 key", good, ""},
		{"an ed25519 key with a comment", good + " anna@laptop", ""},
		{"a key with a line end", good + "\n", ""},
		{"an RSA key of 2048 bits", line(t, &big.PublicKey), ""},
		{"a short RSA key", line(t, &small.PublicKey), "1024 bits"},
		{"a key with options", `cert-authority ` + good, "options before the key"},
		{"two keys", good + "\n" + good, "more than one line"},
		{"nothing", "", "neither an SSH nor an OpenPGP"},
		{"a private key", "-----BEGIN OPENSSH PRIVATE KEY-----", "neither an SSH nor an OpenPGP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := ParseKey("anna", tt.line)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if k.Name != "anna" || !strings.HasPrefix(k.Fingerprint(), "SHA256:") || !k.Same(k) {
					t.Fatalf("got %+v with fingerprint %s", k, k.Fingerprint())
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Xv1xk0pM6q2VZx1k9b0eJ0Xv1xk0pM6q2VZx1k9b0 anna")
	f.Fuzz(func(t *testing.T, line string) {
		if k, err := ParseKey("anna", line); err == nil && k.Fingerprint() == "" {
			t.Fatalf("%q has no fingerprint", line)
		}
	})
}
