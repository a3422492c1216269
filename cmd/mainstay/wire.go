package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/broker/model"
	"github.com/mainstay-dev/mainstay/reconciler/broker/tool"
	"github.com/mainstay-dev/mainstay/reconciler/host"
	"github.com/mainstay-dev/mainstay/reconciler/proposal"
	"github.com/mainstay-dev/mainstay/reconciler/proposal/local"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/reconciler/source"
	"github.com/mainstay-dev/mainstay/reconciler/store"
)

// repoFlags say which branch of which repository is meant.
type repoFlags struct {
	repo, ref, path, env string
	// here says that without --repo the clone in the working directory tells which repository is meant.
	here bool
}

func (f *repoFlags) add(cmd *cobra.Command) {
	text := "the Git repository: a `URL` or a folder"
	if f.here {
		text += " (default: the origin of the clone you are in)"
	}
	cmd.Flags().StringVar(&f.repo, "repo", "", text)
	cmd.Flags().StringVar(&f.ref, "ref", "main", "the `branch` that says what runs")
	cmd.Flags().StringVar(&f.path, "path", "", "the `folder` of the repository that holds mainstay.yaml")
}

// addEnv is for the commands that read what is declared.
func (f *repoFlags) addEnv(cmd *cobra.Command) { addEnvFlag(cmd, &f.env) }

func addEnvFlag(cmd *cobra.Command, env *string) {
	cmd.Flags().StringVar(env, "env", "", "the `name` of the overlay to apply, a folder in overlays/")
}

// resolve makes a repository that is a folder an absolute one, so that the same repository has one name.
func (f *repoFlags) resolve() error {
	if f.repo == "" && f.here {
		f.repo = origin()
	}
	if f.repo == "" {
		hint := "give --repo URL"
		if f.here {
			hint += ", or go into a clone of it"
		}
		return usageError{errors.New("which repository? " + hint)}
	}
	if info, err := os.Stat(f.repo); err == nil && info.IsDir() {
		abs, err := filepath.Abs(f.repo)
		if err != nil {
			return err
		}
		f.repo = abs
	}
	return nil
}

// origin is where the clone in the working directory was cloned from, or "". Agents, reviewers and reconcilers meet there:
// a clone's own branches say nothing of what others do.
func origin() string {
	out, err := exec.Command("git", "remote", "get-url", "origin").Output()
	url := strings.TrimSpace(string(out))
	if err != nil || url == "" || filepath.IsAbs(url) || strings.Contains(url, ":") {
		return url
	}
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return ""
	}
	return filepath.Join(strings.TrimSpace(string(top)), url)
}

// stateFlags say what a reconciler keeps, and who it is.
type stateFlags struct {
	dir, signingKey string
}

func (f *stateFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.signingKey, "signing-key", os.Getenv("MAINSTAY_SIGNING_KEY"),
		"the OpenSSH private key `file` that signs proposals and the ledger (default: one in the state folder, made at first;\n$MAINSTAY_SIGNING_KEY)")
}

// openRemote opens the repository, keeping its objects in dir, or in memory where dir is "".
func openRemote(ctx context.Context, env environment, repo, dir string) (*remote.Remote, error) {
	var auth remote.Auth
	if token := os.Getenv("MAINSTAY_GIT_TOKEN"); token != "" {
		auth.Token = func(context.Context) (string, error) { return token, nil }
	}
	return remote.Open(ctx, remote.Options{URL: repo, Dir: dir, Barrier: env.barrier, Auth: auth})
}

// wired is a reconciler with all its parts.
type wired struct {
	*reconciler.Reconciler
	parts reconciler.Parts
	close func(ctx context.Context) error
}

// wiring is what wire needs to know.
type wiring struct {
	repo     repoFlags
	state    stateFlags
	interval time.Duration
	travels  bool
	observe  func(reconciler.Event)
	log      *slog.Logger
	// getenv resolves the variables that tool servers refer to.
	getenv func(string) (string, bool)
}

// wire makes the parts and joins them. Close what it returns.
func wire(ctx context.Context, env environment, w wiring) (_ *wired, err error) {
	dir := w.state.dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	var closers []func(ctx context.Context) error
	closeAll := func(ctx context.Context) error {
		var errs []error
		for i := len(closers) - 1; i >= 0; i-- {
			errs = append(errs, closers[i](ctx))
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeAll(context.WithoutCancel(ctx)))
		}
	}()

	// The store comes first: it holds the lock of the state folder.
	var st *store.Store
	err = whileLocked(ctx, func() (err error) {
		st, err = store.Open(ctx, store.Options{Dir: filepath.Join(dir, "store"), Barrier: env.barrier})
		return err
	})
	if err != nil {
		return nil, err
	}
	closers = append(closers, func(context.Context) error { return st.Close() })

	signer, err := loadOrMakeKey(w.state.signingKey, filepath.Join(dir, "keys", "reconciler"))
	if err != nil {
		return nil, err
	}
	rem, err := openRemote(ctx, env, w.repo.repo, filepath.Join(dir, "git"))
	if err != nil {
		return nil, err
	}
	closers = append(closers, func(context.Context) error { return rem.Close() })

	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	agents := host.New(host.Options{Dir: filepath.Join(dir, "agents"), Runtimes: runtimes(self), Log: w.log, Now: env.clock(), Sleep: sleep})
	closers = append(closers, agents.Close)
	tools := tool.New(tool.Options{Dir: filepath.Join(dir, "tools"), Self: self, Env: w.getenv, Now: env.clock(), Logger: w.log})
	closers = append(closers, func(context.Context) error { return tools.Close() })

	src, err := source.New(source.Options{Remote: rem, Branch: w.repo.ref, Path: w.repo.path})
	if err != nil {
		return nil, err
	}
	name, err := executorName(dir)
	if err != nil {
		return nil, err
	}
	const email = "mainstay@localhost"
	parts := reconciler.Parts{
		Remote: rem, Source: src, Store: st, Host: agents, Models: model.Providers{}, Tools: tools, Signer: signer,
		Proposals: func(k reconciler.Knowledge) proposal.Driver {
			return local.New(local.Options{Remote: rem, Branch: w.repo.ref, Path: w.repo.path, Name: "mainstay", Email: email,
				Signer: signer, Ledger: k.Ledger, FleetAt: k.FleetAt, Now: env.clock()})
		},
	}
	r, err := reconciler.New(ctx, parts, reconciler.Options{
		Branch: w.repo.ref, Path: w.repo.path, Env: w.repo.env, Interval: w.interval, Workers: 8, Travels: w.travels,
		Name: name, Email: email, Now: env.clock(), Random: rand.Reader, After: time.After, Barrier: env.barrier, Observe: w.observe,
	})
	if err != nil {
		return nil, err
	}
	return &wired{Reconciler: r, parts: parts, close: closeAll}, nil
}

// executorName tells reconcilers apart in the ledger: stable for a state folder, and another one for every other.
func executorName(state string) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	abs, err := filepath.Abs(state)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(abs))
	return host + "-" + hex.EncodeToString(sum[:4]), nil
}

// sleep waits until d is over or ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// loadOrMakeKey loads the key at given, or the one at kept, which it makes if it is not there.
func loadOrMakeKey(given, kept string) (*remote.Signer, error) {
	if given != "" {
		return remote.LoadSigner(given)
	}
	signer, err := remote.LoadSigner(kept)
	if !errors.Is(err, fs.ErrNotExist) {
		return signer, err
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
		return nil, err
	}
	return remote.GenerateSigner(kept, "mainstay")
}

// runtimes finds the executables that can be agents. The reference runtime is mainstay-loop beside this executable; where
// it is missing, as under `go run`, this executable is the runtime too: correct, only slower to start.
func runtimes(self string) func(name string) (host.Runtime, error) {
	return func(name string) (host.Runtime, error) {
		if cmp.Or(name, "loop") != "loop" {
			return host.Runtime{}, fmt.Errorf("unknown runtime %q; this version has only loop", name)
		}
		if beside := filepath.Join(filepath.Dir(self), "mainstay-loop"); isExecutable(beside) {
			return host.Runtime{Path: beside}, nil
		}
		return host.Runtime{Path: self, Args: []string{runtimeArg}}, nil
	}
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// program is how a person calls this program, for the commands it suggests.
func program() string {
	self, err := os.Executable()
	if err != nil {
		return "mainstay"
	}
	if strings.Contains(self, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/mainstay"
	}
	return filepath.Base(self)
}
