package remote

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/pgp/pgptest"
)

// newPGP makes an OpenPGP key without GnuPG, and returns it as a signer, as a key that is listed, and as its private key.
func newPGP(t *testing.T, name string) (*Signer, spec.Key, string) {
	t.Helper()
	private := pgptest.Private(t, pgptest.New(t, name), "")
	path := filepath.Join(t.TempDir(), "key.asc")
	if err := os.WriteFile(path, []byte(private), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := LoadSigner(path)
	if err != nil {
		t.Fatal(err)
	}
	k, err := spec.ParseKey(name, s.AuthorizedKey())
	if err != nil {
		t.Fatal(err)
	}
	return s, k, private
}

func TestOpenPGPSignsAndVerifies(t *testing.T) {
	s, key, _ := newPGP(t, "anna")
	_, other, _ := newPGP(t, "bob")
	_, ssh := newKey(t, "ed25519")
	o := newOrigin(t)
	first := o.commit(map[string]string{"a": "1"})
	r := o.open(Options{})
	fetch(t, r)
	d := draft(first, file("a", "2"))
	d.Signer = s
	id := write(t, r, d)
	if again := write(t, r, d); again != id {
		t.Fatalf("the same draft is %s and %s", id, again)
	}
	c, err := r.Commit(id)
	if err != nil {
		t.Fatal(err)
	}
	if by, err := VerifyCommit(c, []spec.Key{ssh, other, key}); err != nil || by.Name != "anna" {
		t.Fatalf("got %v and %v", by, err)
	}
	_, err = VerifyCommit(c, []spec.Key{ssh, other})
	wantIs(t, err, ErrUnknownSigner)
	wantSays(t, err, key.Fingerprint())
	c.Payload = bytes.Replace(c.Payload, []byte("tree "), []byte("tree 0"), 1)
	_, err = VerifyCommit(c, []spec.Key{key})
	wantIs(t, err, ErrUnknownSigner)
}

// What stands in a commit where git would not have written it makes its signature count for nothing, whoever made it.
func TestCommitHeadersThatHideSomething(t *testing.T) {
	s, key, _ := newPGP(t, "anna")
	head := "tree " + strings.Repeat("1", 40) + "\nauthor A <a@b> 1600000000 +0000\ncommitter A <a@b> 1600000000 +0000\n"
	const body = "\nhello\n"
	header := func(name, payload string) string {
		sig, err := s.Sign([]byte(payload), pgptest.Born)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s %s\n", name, bytes.ReplaceAll(sig, []byte("\n"), []byte("\n ")))
	}
	good := header("gpgsig", head+body)
	for _, tt := range []struct{ name, commit, want string }{
		{"as git writes it", head + good + body, ""},
		{"with another header before", head + "encoding x\n" + header("gpgsig", head+"encoding x\n"+body) + body, ""},
		{"with the signature of the other kind of repository", head + good + header("gpgsig-sha256", "x") + body, ""},
		{"two signatures", head + good + good + body, "two signatures"},
		{"the first by somebody else", head + header("gpgsig", "x") + good + body, "two signatures"},
		{"a header after the signature", head + header("gpgsig", head+"note x\n"+body) + "note x\n" + body, "after the signature"},
		{"a header that the signature is not over", head + "note x\n" + good + body, "does not count"},
		{"a signature before the author", strings.Replace(head, "author", good+"author", 1) + body, "malformed"},
		{"a signature with nothing in it", head + "gpgsig \n" + body, "not signed"},
		{"another message", head + good + body + "!", "does not count"},
		{"a second line end", head + good + body + "\n", "does not count"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := parseCommit([]byte(tt.commit))
			if err == nil {
				_, err = VerifyCommit(c, []spec.Key{key})
			}
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantSays(t, err, tt.want)
		})
	}
}

// gpg runs GnuPG in a folder of its own, or says why the test is left out.
type gpg struct {
	t    *testing.T
	home string
}

func newGPG(t *testing.T) gpg {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("what git itself says of OpenPGP signatures is NOT CHECKED: gpg is not here")
	}
	home, err := os.MkdirTemp("", "gpg") // The socket of its agent needs a short path.
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GNUPGHOME", home)
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	return gpg{t, home}
}

func (g gpg) run(stdin string, args ...string) string {
	g.t.Helper()
	cmd := exec.Command("gpg", append([]string{"--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("gpg %v: %v %s", args, err, &stderr)
	}
	return string(out)
}

func TestGitVerifiesOurOpenPGPSignatures(t *testing.T) {
	g := newGPG(t)
	s, _, private := newPGP(t, "anna")
	g.run(private, "--import")
	o := newOrigin(t)
	first := o.commit(map[string]string{"a": "1"})
	r := o.open(Options{})
	fetch(t, r)
	d := draft(first, file("a", "2"))
	d.Signer = s
	id := write(t, r, d)
	if err := r.Push(t.Context(), "main", first, id); err != nil {
		t.Fatal(err)
	}
	o.git("fetch", "-q", "origin")
	if out := o.git("verify-commit", "-v", id); !strings.Contains(out, "Good signature") {
		t.Fatalf("git says %s", out)
	}
}

func TestWeVerifyGitsOpenPGPSignatures(t *testing.T) {
	g := newGPG(t)
	for _, algorithm := range []string{"ed25519", "rsa3072"} {
		g.run("", "--quick-generate-key", algorithm+" <"+algorithm+"@example.com>", algorithm, "sign", "0")
	}
	// The usual case: the primary key certifies, and a subkey signs.
	g.run("", "--quick-generate-key", "sub <sub@example.com>", "ed25519", "cert", "0")
	for line := range strings.Lines(g.run("", "--with-colons", "--list-keys", "sub@example.com")) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			g.run("", "--quick-add-key", fields[9], "ed25519", "sign", "0")
		}
	}
	o := newOrigin(t)
	o.commit(map[string]string{"a": "0"})
	for _, who := range []string{"ed25519", "rsa3072", "sub"} {
		key, err := spec.ParseKey(who, g.run("", "--armor", "--export", who+"@example.com"))
		if err != nil {
			t.Fatal(err)
		}
		o.write(map[string]string{"a": who})
		o.git("add", "-A")
		o.git("-c", "user.signingKey="+who+"@example.com", "commit", "-q", "-S", "-m", "signed by "+who)
		id := o.git("rev-parse", "HEAD")
		o.git("push", "-q", "origin", "main")
		r := o.open(Options{})
		fetch(t, r)
		c, err := r.Commit(id)
		if err != nil {
			t.Fatal(err)
		}
		if by, err := VerifyCommit(c, []spec.Key{key}); err != nil || by.Name != who {
			t.Fatalf("%s: got %v and %v", who, by, err)
		}
	}
}

func FuzzVerifyCommit(f *testing.F) {
	f.Add([]byte("tree " + strings.Repeat("1", 40) + "\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n AAAA\n -----END PGP SIGNATURE-----\n\nhello\n"))
	f.Add([]byte("tree " + strings.Repeat("1", 40) + "\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\ngpgsig -----BEGIN SSH SIGNATURE-----\n AAAA\n -----END SSH SIGNATURE-----\n\nhello\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseCommit(b)
		if err != nil {
			return
		}
		if _, err := VerifyCommit(c, nil); err == nil {
			t.Fatal("a signature counts where no key is listed")
		}
		// Whatever is signed is all of the commit but the signature.
		if c.Signature != nil && c.doubt == "" && len(c.Payload)+len(c.Signature) > len(b) {
			t.Fatalf("%d bytes are signed with %d in a commit of %d", len(c.Payload), len(c.Signature), len(b))
		}
	})
}
