package secret_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"filippo.io/age"

	"github.com/mainstay-dev/mainstay/reconciler/secret"
	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/sops/sopstest"
)

// world is what references point into.
type world struct {
	env  map[string]string
	tree fs.FS
	now  time.Time
	opts secret.Options
}

func newWorld(t *testing.T) (*world, *secret.Resolver) {
	t.Helper()
	w := &world{env: map[string]string{"HOME": t.TempDir()}, now: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)}
	w.opts = secret.Options{
		Env: func(name string) (string, bool) { v, ok := w.env[name]; return v, ok },
		Tree: func() (fs.FS, error) {
			if w.tree == nil {
				return nil, errors.New("no good revision is known")
			}
			return w.tree, nil
		},
		Now: func() time.Time { return w.now },
	}
	return w, secret.New(w.opts)
}

func resolves(t *testing.T, r *secret.Resolver, ref spec.SecretRef, want string) {
	t.Helper()
	got, err := r.Resolve(t.Context(), ref)
	if err != nil || got.Reveal() != want {
		t.Errorf("got %q, %v, want %q", got.Reveal(), err, want)
	}
}

// fails checks that the reference cannot be resolved, and that the error says so in one line without the secret hunter2.
func fails(t *testing.T, r *secret.Resolver, ref spec.SecretRef, want string) {
	t.Helper()
	got, err := r.Resolve(t.Context(), ref)
	if err == nil || !strings.Contains(err.Error(), want) || got.Reveal() != "" {
		t.Errorf("got %v, want %q", err, want)
	} else if !strings.HasPrefix(err.Error(), "resolve "+ref.String()+": ") || strings.ContainsAny(err.Error(), "\n\r") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error is not fit to be told: %v", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAVariable(t *testing.T) {
	w, r := newWorld(t)
	w.env["TOKEN"], w.env["EMPTY"], w.env["LONG"] = "hunter2", "", strings.Repeat("x", secret.MaxValue+1)
	resolves(t, r, spec.SecretRef{Env: "TOKEN"}, "hunter2")
	fails(t, r, spec.SecretRef{Env: "OTHER"}, "it is not set in the environment of mainstay")
	fails(t, r, spec.SecretRef{Env: "EMPTY"}, "it is empty")
	fails(t, r, spec.SecretRef{Env: "LONG"}, "it is larger than 1024 KiB")
	fails(t, r, spec.SecretRef{}, "it names no source")
}

// TestKnownValuesAreThoseThatWereResolved keeps old values for the redaction, up to a bound.
func TestKnownValuesAreThoseThatWereResolved(t *testing.T) {
	w, r := newWorld(t)
	for _, value := range []string{"first", "second\n", "second\n", "first"} {
		w.env["TOKEN"] = value
		resolves(t, r, spec.SecretRef{Env: "TOKEN"}, value)
	}
	if got, want := r.Known(), []string{"second\n", "first"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for i := range 2000 {
		w.env["TOKEN"] = fmt.Sprint("token-", i)
		resolves(t, r, spec.SecretRef{Env: "TOKEN"}, w.env["TOKEN"])
	}
	if got := r.Known(); len(got) != 1000 || got[999] != "token-1999" {
		t.Errorf("%d values, the last is %q", len(got), got[len(got)-1])
	}
}

func TestAFile(t *testing.T) {
	_, r := newWorld(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	ref := spec.SecretRef{File: path}
	fails(t, r, ref, "there is no such file: write the secret into it")
	for text, want := range map[string]string{"hunter2": "hunter2", "hunter2\n": "hunter2", "hunter2\r\n": "hunter2", "a\nb\n\n": "a\nb\n", " hunter2 ": " hunter2 "} {
		write(t, path, text)
		resolves(t, r, ref, want)
	}
	write(t, path, "\n")
	fails(t, r, ref, "it is empty")
	write(t, path, strings.Repeat("x", secret.MaxValue))
	resolves(t, r, ref, strings.Repeat("x", secret.MaxValue))
	write(t, path, strings.Repeat("x", secret.MaxValue+1))
	fails(t, r, ref, "it is larger than 1024 KiB")
	fails(t, r, spec.SecretRef{File: dir}, "it is not a regular file")

	// A Secret that Kubernetes mounts is behind links, and changes by one of them.
	for _, version := range []string{"1", "2"} {
		write(t, filepath.Join(dir, "data"+version, "token"), "version-"+version)
	}
	link := filepath.Join(dir, "data")
	for _, version := range []string{"1", "2"} {
		os.Remove(link)
		if err := os.Symlink("data"+version, link); err != nil {
			t.Skip(err)
		}
		resolves(t, r, spec.SecretRef{File: filepath.Join(link, "token")}, "version-"+version)
	}
}

func TestAFileThatMainstayMayNotRead(t *testing.T) {
	if os.Geteuid() <= 0 {
		t.Skip("root may read everything")
	}
	_, r := newWorld(t)
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, "hunter2")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	fails(t, r, spec.SecretRef{File: path}, "mainstay may not read it")
}

func identity(t *testing.T) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func encrypt(t *testing.T, value string, id *age.X25519Identity) *fstest.MapFile {
	t.Helper()
	content, err := sopstest.Encrypt(map[string]string{"github.token": value, "other": "x"}, id.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: content}
}

func TestAnEncryptedValue(t *testing.T) {
	w, r := newWorld(t)
	ref := spec.SecretRef{SOPS: &spec.SOPSRef{File: "secrets/forge.yaml", Key: "github.token"}}
	fails(t, r, ref, "read the revision: no good revision is known")
	w.tree = fstest.MapFS{}
	fails(t, r, ref, "there is no such file in the revision that runs")

	first, second := identity(t), identity(t)
	w.tree = fstest.MapFS{"secrets/forge.yaml": encrypt(t, "the-first-token", first)}
	usual := filepath.Join(w.env["HOME"], ".config", "sops", "age", "keys.txt")
	if runtime.GOOS != "linux" {
		w.env["XDG_CONFIG_HOME"] = filepath.Join(w.env["HOME"], ".config")
		w.env["AppData"] = w.env["XDG_CONFIG_HOME"]
	}
	fails(t, r, ref, "there is no age identity to decrypt it with: set SOPS_AGE_KEY_FILE, or put one into "+usual)

	// Each of the places where SOPS looks.
	w.env["SOPS_AGE_KEY"] = second.String()
	fails(t, r, ref, "none of the age identities in SOPS_AGE_KEY can decrypt it: it is encrypted for "+first.Recipient().String())
	w.env["SOPS_AGE_KEY"] = second.String() + "\n" + first.String()
	resolves(t, r, ref, "the-first-token")
	delete(w.env, "SOPS_AGE_KEY")
	resolves(t, secret.New(w.opts), spec.SecretRef{Env: "HOME"}, w.env["HOME"])

	r = secret.New(w.opts)
	w.env["SOPS_AGE_KEY_FILE"] = filepath.Join(t.TempDir(), "key")
	fails(t, r, ref, "which SOPS_AGE_KEY_FILE names: there is no such file")
	write(t, w.env["SOPS_AGE_KEY_FILE"], "hunter2\n")
	fails(t, r, ref, "holds no age identities, one on each line, as age-keygen writes them")
	write(t, w.env["SOPS_AGE_KEY_FILE"], "# created by age-keygen\n"+first.String()+"\n")
	resolves(t, r, ref, "the-first-token")

	r = secret.New(w.opts)
	delete(w.env, "SOPS_AGE_KEY_FILE")
	write(t, usual, first.String())
	resolves(t, r, ref, "the-first-token")

	// The next revision has another value, and then one that this machine cannot read. The file of a revision is decrypted
	// once: the keys may be gone afterwards.
	w.tree = fstest.MapFS{"secrets/forge.yaml": encrypt(t, "the-second-token", first)}
	resolves(t, r, ref, "the-second-token")
	if err := os.Remove(usual); err != nil {
		t.Fatal(err)
	}
	resolves(t, r, ref, "the-second-token")
	w.tree = fstest.MapFS{"secrets/forge.yaml": encrypt(t, "the-third-token", second)}
	fails(t, r, ref, "there is no age identity")

	// What the loader would refuse is refused here too.
	w.tree = fstest.MapFS{"secrets/forge.yaml": {Data: []byte("github: {token: hunter2}\n")}}
	fails(t, r, ref, "it is not encrypted")
	write(t, usual, first.String())
	w.tree = fstest.MapFS{"secrets/forge.yaml": encrypt(t, "x", first)}
	fails(t, r, spec.SecretRef{SOPS: &spec.SOPSRef{File: "secrets/forge.yaml", Key: "github"}}, `"github" is a map there`)
	changed := encrypt(t, "x", first)
	changed.Data = append([]byte("new: x\n"), changed.Data...)
	w.tree = fstest.MapFS{"secrets/forge.yaml": changed}
	fails(t, r, ref, "it was changed by hand after it was encrypted")
}
