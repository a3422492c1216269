package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/mainstay-dev/mainstay/spec"
	"github.com/mainstay-dev/mainstay/spec/sops"
)

// opened is a file as it was last decrypted.
type opened struct {
	content []byte
	file    *sops.Opened
}

// sops reads a value from a file of the revision that is declared now.
func (r *Resolver) sops(ctx context.Context, ref spec.SOPSRef) (string, error) {
	tree, err := r.opts.Tree()
	if err != nil {
		return "", fmt.Errorf("read the revision: %w", err)
	}
	content, err := readTree(tree, ref.File)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	known := r.opened[ref.File]
	r.mu.Unlock()
	if known == nil || !bytes.Equal(known.content, content) {
		file, err := sops.Parse(ref.File, content)
		if err != nil {
			return "", err
		}
		key, err := r.dataKey(ctx, file.Recipients())
		if err != nil {
			return "", err
		}
		plain, err := file.Open(key)
		if err != nil {
			return "", err
		}
		known = &opened{content, plain}
		r.mu.Lock()
		if len(r.opened) >= maxKept {
			clear(r.opened)
		}
		r.opened[ref.File] = known
		r.mu.Unlock()
	}
	return known.file.Value(ref.Key)
}

func readTree(tree fs.FS, name string) ([]byte, error) {
	f, err := tree.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("there is no such file in the revision that runs: a run that began before may still need it")
	}
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, sops.MaxFile+1))
	if err != nil {
		return nil, withoutPath(err)
	}
	return content, nil
}

// dataKey decrypts a file's key with one of the age identities that this machine has.
func (r *Resolver) dataKey(ctx context.Context, recipients []sops.Recipient) ([]byte, error) {
	identities, places, err := r.identities(ctx)
	if err != nil {
		return nil, err
	}
	if len(identities) == 0 {
		return nil, fmt.Errorf("there is no age identity to decrypt it with: set SOPS_AGE_KEY_FILE, or put one into %s", places[len(places)-1])
	}
	var names []string
	for _, recipient := range recipients {
		names = append(names, recipient.Name)
		plain, err := age.Decrypt(armor.NewReader(strings.NewReader(recipient.Encrypted)), identities...)
		if err != nil {
			continue
		}
		if key, err := io.ReadAll(io.LimitReader(plain, 64)); err == nil {
			return key, nil
		}
	}
	return nil, fmt.Errorf("none of the age identities in %s can decrypt it: it is encrypted for %s", strings.Join(places, " and "), spec.Visible(strings.Join(names, ", ")))
}

// identities are the age identities of this machine, from all the places that SOPS looks at and that need no other
// program, and those places. The last one is where people put them.
func (r *Resolver) identities(ctx context.Context) (all []age.Identity, places []string, err error) {
	add := func(place, text string) error {
		found, err := age.ParseIdentities(strings.NewReader(text))
		if err != nil { // The parser's own error may quote a line of the key file.
			return fmt.Errorf("%s holds no age identities, one on each line, as age-keygen writes them", place)
		}
		all = append(all, found...)
		places = append(places, place)
		return nil
	}
	if text, ok := r.opts.Env("SOPS_AGE_KEY"); ok {
		if err := add("SOPS_AGE_KEY", text); err != nil {
			return nil, nil, err
		}
	}
	if name, ok := r.opts.Env("SOPS_AGE_KEY_FILE"); ok {
		text, err := r.file(ctx, name)
		if err != nil {
			return nil, nil, fmt.Errorf("%s, which SOPS_AGE_KEY_FILE names: %w", name, err)
		}
		if err := add(name, text); err != nil {
			return nil, nil, err
		}
	}
	usual := filepath.Join(r.configDir(), "sops", "age", "keys.txt")
	text, err := r.files.read(ctx, usual, r.opts.Patience, func(path string) (string, error) {
		if _, err := os.Stat(path); err != nil {
			return "", errNoKeys
		}
		return readFile(path, r.opts.Patience)
	})
	switch {
	case errors.Is(err, errNoKeys):
		if len(all) == 0 {
			places = append(places, usual)
		}
		return all, places, nil
	case err != nil:
		return nil, nil, fmt.Errorf("%s: %w", usual, err)
	}
	if err := add(usual, text); err != nil {
		return nil, nil, err
	}
	return all, places, nil
}

// errNoKeys says that the file that is looked at without being asked for is not there.
var errNoKeys = errors.New("there is no such file")

// configDir is where a user's settings are, as SOPS finds it.
func (r *Resolver) configDir() string {
	env := func(name string) string { v, _ := r.opts.Env(name); return v }
	if dir := env("XDG_CONFIG_HOME"); dir != "" && runtime.GOOS != "windows" {
		return dir
	}
	switch runtime.GOOS {
	case "windows":
		return env("AppData")
	case "darwin":
		return filepath.Join(env("HOME"), "Library", "Application Support")
	}
	return filepath.Join(env("HOME"), ".config")
}
