// Package langgraphtest builds runtimes that are written in TypeScript, for tests. It installs the packages that they need with
// npm, which needs a network once, and keeps the result in a folder outside of the checkout: the one that MAINSTAY_TEST_CACHE
// names, or mainstay-test in the user's cache. It changes nothing in the checkout.
package langgraphtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Package is where the TypeScript package lies, and Example where that of examples/langgraph does, from the root of this module.
const (
	Package = "plugins/langgraph"
	Example = "examples/langgraph/graph"
)

// patience bounds the installation and a build.
const patience = 5 * time.Minute

// ErrCannot is why a runtime cannot be built on this machine: node or npm is missing, or npm cannot reach its registry.
var ErrCannot = errors.New("this machine cannot build runtimes of LangGraph.js")

// Executable builds a runtime and returns its path, or skips the test and says why.
func Executable(t testing.TB, in, entry, name string) string {
	t.Helper()
	built, err := Build(in, entry, name)
	if errors.Is(err, ErrCannot) {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// Build builds the runtime of a source file in the package at a path from the root of this module, and returns the path of the
// executable. The error is [ErrCannot] where it is this machine that cannot.
func Build(in, entry, name string) (string, error) {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("%w: %w", ErrCannot, err)
		}
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	cache := os.Getenv("MAINSTAY_TEST_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("%w: set MAINSTAY_TEST_CACHE: %w", ErrCannot, err)
		}
		cache = filepath.Join(user, "mainstay-test")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("%w: set MAINSTAY_TEST_CACHE: %w", ErrCannot, err)
	}
	lock, err := os.OpenFile(filepath.Join(cache, "langgraph.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	defer lock.Close() // which also unlocks it
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	key, err := digest(root, in)
	if err != nil {
		return "", err
	}
	tree := filepath.Join(cache, "langgraph-"+key)
	if _, err := os.Stat(filepath.Join(tree, "installed")); err != nil {
		if err := install(root, tree, in); err != nil {
			return "", err
		}
	}
	out := filepath.Join(tree, "bin", name)
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	builder := "build.mjs"
	if in != Package {
		builder = "node_modules/@mainstay-dev/langgraph/build.mjs"
	}
	if said, err := run(filepath.Join(tree, in), "node", builder, entry, out); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", entry, err, said)
	}
	return out, nil
}

// install copies the sources to a new tree and has npm install what they need.
func install(root, tree, in string) error {
	if err := os.RemoveAll(tree); err != nil {
		return err
	}
	if err := sources(root, in, func(name string, content []byte) error {
		to := filepath.Join(tree, filepath.FromSlash(name))
		return errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, content, 0o644))
	}); err != nil {
		return err
	}
	said, err := run(filepath.Join(tree, in), "npm", "ci", "--omit=dev", "--prefer-offline")
	if err != nil {
		failed := fmt.Errorf("npm ci in %s: %w\n%s", in, err, said)
		for _, away := range []string{"ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "ENOTCACHED", "ERR_SOCKET_TIMEOUT"} {
			if strings.Contains(said, away) {
				return fmt.Errorf("%w: %w", ErrCannot, failed)
			}
		}
		return failed
	}
	return os.WriteFile(filepath.Join(tree, "installed"), nil, 0o644)
}

// digest is over all that a build is made of.
func digest(root, in string) (string, error) {
	sum := sha256.New()
	err := sources(root, in, func(name string, content []byte) error {
		part(sum, []byte(name))
		part(sum, content)
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)[:8]), err
}

func part(sum hash.Hash, content []byte) {
	one := sha256.Sum256(content)
	sum.Write(one[:])
}

// sources visits the files of the package, and of the one that others are made with.
func sources(root, in string, visit func(name string, content []byte) error) error {
	for _, folder := range []string{Package, in} {
		err := fs.WalkDir(os.DirFS(root), folder, func(name string, d fs.DirEntry, err error) error {
			switch base := path.Base(name); {
			case err != nil:
				return err
			case d.IsDir() && (base == "node_modules" || base == "dist" || base == "langgraphtest"):
				return fs.SkipDir
			case !d.Type().IsRegular() || strings.HasSuffix(base, ".go") || strings.HasSuffix(base, ".md"):
				return nil
			}
			content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
			if err != nil {
				return err
			}
			return visit(name, content)
		})
		if err != nil || in == Package {
			return err
		}
	}
	return nil
}

func run(dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// moduleRoot is the folder of go.mod above the working directory, which for a test is its package's.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("there is no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}
