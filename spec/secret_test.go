package spec_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"filippo.io/age"

	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/sops/sopstest"
)

const withSOPS = "apiVersion: mainstay.dev/v1alpha1\nkind: ToolServer\nmetadata: {name: forge}\nspec:\n  command: [server]\n" +
	"  env: [{name: TOKEN, from: {sops: {file: secrets/forge.yaml, key: token}}}]\n  tools: {status: {effect: read}}\n"

func sealed(t *testing.T, key string) []byte {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	content, err := sopstest.Encrypt(map[string]string{key: "a-token"}, identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestAnEncryptedFileIsLookedAtInEachRevision changes a file in secrets/ alone, where what refers to it comes from the
// cache. What it decrypts to is no part of a digest: a new secret restarts no agent.
func TestAnEncryptedFileIsLookedAtInEachRevision(t *testing.T) {
	cache := new(spec.Cache)
	load := func(content []byte) (*spec.Fleet, string) {
		files := fstest.MapFS{
			"mainstay.yaml":    {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\n")},
			"tools/forge.yaml": {Data: []byte(withSOPS)},
		}
		if content != nil {
			files["secrets/forge.yaml"] = &fstest.MapFile{Data: content}
		}
		fleet, problems := spec.Load(withIDs(files), spec.LoadOptions{Cache: cache})
		return fleet, problems.String()
	}
	first, problems := load(sealed(t, "token"))
	if first == nil {
		t.Fatal(problems)
	}
	for _, broken := range []struct {
		content []byte
		want    string
	}{
		{[]byte("token: hunter2\n"), "tools/forge.yaml:6:43: secrets/forge.yaml: it is not encrypted"},
		{sealed(t, "other"), `tools/forge.yaml:6:68: secrets/forge.yaml: it holds no "token"`},
		{nil, "tools/forge.yaml:6:43: secrets/forge.yaml: there is no such file"},
	} {
		if fleet, problems := load(broken.content); fleet != nil || !strings.Contains(problems, broken.want) {
			t.Errorf("got %q, want %q", problems, broken.want)
		}
	}
	second, problems := load(sealed(t, "token"))
	if second == nil {
		t.Fatal(problems)
	}
	if second.Digest != first.Digest || second.Servers["forge"].Digest != first.Servers["forge"].Digest {
		t.Error("a digest depends on an encrypted value")
	}
}

// unopened is a folder that tells of a file and does not give it.
type unopened struct{ fstest.MapFS }

func (u unopened) Open(name string) (fs.File, error) {
	if name == "secrets/forge.yaml" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("input/output error")}
	}
	return u.MapFS.Open(name)
}

func (u unopened) Lstat(name string) (fs.FileInfo, error) {
	if name == "secrets/forge.yaml" && u.MapFS[name] == nil {
		return nil, &fs.PathError{Op: "lstat", Path: name, Err: errors.New("permission denied")}
	}
	return u.MapFS.Lstat(name)
}

func TestAnEncryptedFileThatCannotBeRead(t *testing.T) {
	files := fstest.MapFS{
		"mainstay.yaml":      {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\n")},
		"tools/forge.yaml":   {Data: []byte(withSOPS)},
		"secrets/forge.yaml": {Data: sealed(t, "token")},
		"secrets/other.yaml": {},
	}
	for _, want := range []string{"it cannot be read: input/output error", "it cannot be read: permission denied"} {
		if fleet, problems := spec.Load(unopened{files}, spec.LoadOptions{}); fleet != nil || !strings.Contains(problems.String(), "secrets/forge.yaml: "+want) {
			t.Errorf("got %q, want %q", problems, want)
		}
		delete(files, "secrets/forge.yaml")
	}
}

func TestALinkIsNoEncryptedFile(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside.yaml")
	if err := os.WriteFile(outside, sealed(t, "token"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, link := range map[string]func(dir string) error{
		"the file is one": func(dir string) error {
			if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o700); err != nil {
				return err
			}
			return os.Symlink(outside, filepath.Join(dir, "secrets", "forge.yaml"))
		},
		"the folder is one": func(dir string) error { return os.Symlink(filepath.Dir(outside), filepath.Join(dir, "secrets")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, fstest.MapFS{
				"mainstay.yaml":    {Data: []byte("apiVersion: mainstay.dev/v1alpha1\nkind: Fleet\nmetadata: {name: shop}\n")},
				"tools/forge.yaml": {Data: []byte(withSOPS)},
			}); err != nil {
				t.Fatal(err)
			}
			if err := link(dir); err != nil {
				t.Skip(err)
			}
			root := os.DirFS(dir)
			if _, ok := root.(fs.ReadLinkFS); !ok {
				t.Fatal("links cannot be told from files")
			}
			fleet, problems := spec.Load(root, spec.LoadOptions{})
			if fleet != nil || !strings.Contains(problems.String(), "is a symbolic link, and links are never followed") {
				t.Errorf("got %q", problems)
			}
		})
	}
}
