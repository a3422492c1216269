package remote

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/spec"
)

func newKey(t *testing.T, kind string) (string, spec.Key) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "anna", "-f", path).CombinedOutput(); err != nil {
		t.Skipf("ssh-keygen cannot make a key: %v %s", err, out)
	}
	b, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	k, err := spec.ParseKey("anna", string(b))
	if err != nil {
		t.Fatal(err)
	}
	return path, k
}

// trust makes git verify signatures with one key.
func (o *origin) trust(k spec.Key, s string) {
	o.t.Helper()
	path := filepath.Join(o.t.TempDir(), "allowed")
	if err := os.WriteFile(path, []byte("anna@example.org namespaces=\"git\" "+s+"\n"), 0o600); err != nil {
		o.t.Fatal(err)
	}
	o.git("config", "gpg.format", "ssh")
	o.git("config", "gpg.ssh.allowedSignersFile", path)
}

func TestGitVerifiesOurSignatures(t *testing.T) {
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		t.Run(kind, func(t *testing.T) {
			path, key := newKey(t, kind)
			s, err := LoadSigner(path)
			if err != nil {
				t.Fatal(err)
			}
			if s.Fingerprint() != key.Fingerprint() || !key.Same(s.Public("anna")) {
				t.Fatalf("the fingerprints differ: %s and %s", s.Fingerprint(), key.Fingerprint())
			}
			o := newOrigin(t)
			o.trust(key, s.AuthorizedKey())
			first := o.commit(map[string]string{"a": "1"})
			r := o.open(Options{})
			fetch(t, r)
			d := draft(first, file("a", "2"))
			d.Signer = s
			d.Message = "remote: a signed commit\n\nWith more\n\n lines.\n\nMainstay-Key: x"
			ours := write(t, r, d)
			theirs := write(t, r, draft(first, file("b", "2")))
			m := MergeDraft{Ours: ours, Theirs: theirs, Message: "merge", AuthorName: "Anna", AuthorEmail: "anna@example.org", When: d.When, Signer: s}
			merge, err := r.Merge(m)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Push(t.Context(), "main", first, merge); err != nil {
				t.Fatal(err)
			}
			o.git("fetch", "-q", "origin")
			for _, id := range []string{ours, merge} {
				if out := o.git("verify-commit", "-v", id); !strings.Contains(out, `Good "git" signature for anna@example.org`) {
					t.Fatalf("git says %s", out)
				}
				c, err := r.Commit(id)
				if err != nil {
					t.Fatal(err)
				}
				if by, err := VerifyCommit(c, []spec.Key{key}); err != nil || by.Name != "anna" {
					t.Fatalf("got %v and %v", by, err)
				}
			}
		})
	}
}

func TestWeVerifyGitsSignatures(t *testing.T) {
	path, key := newKey(t, "ed25519")
	_, other := newKey(t, "ed25519")
	o := newOrigin(t)
	for _, kv := range [][2]string{{"gpg.format", "ssh"}, {"user.signingkey", path}} {
		o.git("config", kv[0], kv[1])
	}
	plain := o.commit(map[string]string{"a": "1"})
	o.git("switch", "-q", "-c", "side")
	o.write(map[string]string{"b": "1"})
	o.git("add", "-A")
	o.git("commit", "-q", "-S", "-m", "signed\n\nbody with ümlauts\n\n\nand blank lines")
	signed := o.git("rev-parse", "HEAD")
	o.git("switch", "-q", "main")
	o.git("merge", "-q", "-S", "--no-ff", "-m", "merge it", "side")
	merge := o.git("rev-parse", "HEAD")
	o.git("push", "-q", "origin", "main")
	r := o.open(Options{})
	fetch(t, r)
	commit := func(id string) Commit {
		c, err := r.Commit(id)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, id := range []string{signed, merge} {
		if by, err := VerifyCommit(commit(id), []spec.Key{other, key}); err != nil || by.Name != "anna" {
			t.Fatalf("got %v and %v", by, err)
		}
		_, err := VerifyCommit(commit(id), []spec.Key{other})
		wantIs(t, err, ErrUnknownSigner)
		wantSays(t, err, key.Fingerprint())
		_, err = VerifyCommit(commit(id), nil)
		wantIs(t, err, ErrUnknownSigner)
		changed := commit(id)
		changed.Payload = bytes.Replace(changed.Payload, []byte("tree "), []byte("tree 0"), 1)
		_, err = VerifyCommit(changed, []spec.Key{key})
		wantIs(t, err, ErrUnknownSigner)
	}
	_, err := VerifyCommit(commit(plain), []spec.Key{key})
	wantIs(t, err, ErrUnsigned)
	certificate := commit(signed)
	certificate.Signature = []byte("-----BEGIN CERTIFICATE-----\n")
	_, err = VerifyCommit(certificate, []spec.Key{key})
	wantIs(t, err, ErrUnsigned)
	twice := commit(signed)
	twice.Signature = append(append(bytes.Clone(twice.Signature), '\n'), twice.Signature...)
	_, err = VerifyCommit(twice, []spec.Key{key})
	wantSays(t, err, "one signature and nothing more")
	cut := commit(signed)
	cut.Signature = cut.Signature[:80]
	_, err = VerifyCommit(cut, []spec.Key{key})
	wantIs(t, err, ErrUnknownSigner)
}

// A signature over a file is not one over a commit, whatever the bytes.
func TestSignatureOfAnotherNamespaceIsRefused(t *testing.T) {
	path, key := newKey(t, "ed25519")
	message := filepath.Join(t.TempDir(), "message")
	payload := []byte("tree x\n")
	if err := os.WriteFile(message, payload, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", path, message).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	sig, err := os.ReadFile(message + ".sig")
	if err != nil {
		t.Fatal(err)
	}
	_, err = VerifyCommit(Commit{Payload: payload, Signature: sig}, []spec.Key{key})
	wantIs(t, err, ErrUnknownSigner)
}

func TestSignerFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "mainstay")
	s, err := GenerateSigner(path, "mainstay")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("got %v and %v, want mode 0600", info.Mode(), err)
	}
	again, err := LoadSigner(path)
	if err != nil || again.Fingerprint() != s.Fingerprint() {
		t.Fatalf("got %v and %v", again, err)
	}
	b, err := os.ReadFile(path + ".pub")
	if err != nil || string(b) != s.AuthorizedKey()+" mainstay\n" {
		t.Fatalf("got %q and %v", b, err)
	}
	if out, err := exec.Command("ssh-keygen", "-l", "-f", path+".pub").Output(); err == nil && !strings.Contains(string(out), s.Fingerprint()) {
		t.Fatalf("ssh-keygen says %s", out)
	}
	_, err = GenerateSigner(path, "")
	wantIs(t, err, os.ErrExist)

	locked := filepath.Join(t.TempDir(), "locked")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", locked).CombinedOutput(); err != nil {
		t.Skipf("ssh-keygen cannot make a key: %v %s", err, out)
	}
	_, err = LoadSigner(locked)
	wantIs(t, err, ErrPassphrase)
	_, err = UnlockSigner(locked, []byte("wrong"))
	wantIs(t, err, ErrPassphrase)
	wantSays(t, err, "not the one that was given")
	if _, err = UnlockSigner(locked, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	_, err = LoadSigner(path + ".pub")
	wantSays(t, err, "neither an OpenSSH nor an armored OpenPGP private key")
	_, err = LoadSigner(path + ".none")
	wantIs(t, err, os.ErrNotExist)
}
