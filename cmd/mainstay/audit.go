package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler/audit"
	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
)

// auditFlags say which history is looked at from outside, and who is trusted.
type auditFlags struct {
	repo                     repoFlags
	approvers, genesis, seen string
	output                   string
}

func (f *auditFlags) add(cmd *cobra.Command) {
	f.repo.add(cmd)
	cmd.Flags().Lookup("repo").Usage = "the Git repository to fetch: a `URL` or a folder (default: a clone is read as it is, with no network)"
	cmd.Flags().StringVar(&f.approvers, "approvers", "", "a `file` with the public keys of those who may approve, as in authorized_keys or as gpg --armor --export\nprints them, instead of the first ones that mainstay.yaml lists")
	cmd.Flags().StringVar(&f.genesis, "genesis", "", "the `commit` that the ledger begins with, instead of the one that mainstay.yaml pins")
	cmd.Flags().StringVar(&f.seen, "seen", "", "a `commit` that the ledger has held before, such as its tip the last time")
	addOutputFlag(cmd, &f.output)
}

// notEmpty refuses flags that were given with nothing in them, as a variable that is not set leaves them in CI: what they
// were to check would not be checked.
func notEmpty(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
			return usageError{fmt.Errorf("--%s is empty, so that it would check nothing: see whether a variable is not set, or leave it out", name)}
		}
	}
	return nil
}

var fullCommitRE = regexp.MustCompile(`^[0-9a-f]{40}$`)

// history is what was opened to be looked at.
type history struct {
	audit.Options
	// where says for people what is read.
	where string
	close func() error
}

// open opens the repository that --repo names, or the clone in a folder.
func (f *auditFlags) open(cmd *cobra.Command, env environment, args []string) (*history, error) {
	ctx := cmd.Context()
	if err := notEmpty(cmd, "approvers", "genesis", "seen"); err != nil {
		return nil, err
	}
	switch {
	case f.output != "" && f.output != "json" && f.output != "yaml":
		return nil, usageError{fmt.Errorf("unknown output format %q; use json or yaml", f.output)}
	case f.repo.repo != "" && len(args) > 0:
		return nil, usageError{errors.New("give a folder or --repo, and not both")}
	}
	h := &history{Options: audit.Options{Jsonnet: evaluator(ctx), Branch: f.repo.ref, Path: f.repo.path, Genesis: f.genesis, Seen: f.seen, Now: env.clock()()}, close: func() error { return nil }}
	for flag, commit := range map[string]string{"--genesis": f.genesis, "--seen": f.seen} {
		if commit != "" && !fullCommitRE.MatchString(commit) {
			return nil, usageError{fmt.Errorf("%s %q is not a commit: write all of its 40 characters", flag, commit)}
		}
	}
	if f.approvers != "" {
		text, err := os.ReadFile(f.approvers)
		if err != nil {
			return nil, fmt.Errorf("--approvers: %w", err)
		}
		if h.Approvers, err = audit.ParseApprovers(string(text)); err != nil {
			return nil, fmt.Errorf("--approvers: %s:%w", f.approvers, err)
		}
	}
	if f.repo.repo != "" {
		return h, f.fetch(ctx, env, h)
	}
	dir := "."
	if len(args) > 0 {
		dir = args[0]
	}
	return h, f.clone(h, dir)
}

func (f *auditFlags) fetch(ctx context.Context, env environment, h *history) error {
	if err := f.repo.resolve(); err != nil {
		return err
	}
	rem, err := openRemote(ctx, env, f.repo.repo, "")
	if err != nil {
		return err
	}
	branches, err := rem.Fetch(ctx)
	if err == nil && branches[f.repo.ref] == "" {
		err = fmt.Errorf("%s has no branch %s; give --ref", rem.URL(), f.repo.ref)
	}
	if err != nil {
		return errors.Join(err, rem.Close())
	}
	h.History, h.Tip, h.LedgerTip, h.where, h.close = rem, branches[f.repo.ref], branches[execute.Branch], rem.URL(), rem.Close
	return nil
}

// clone reads the branches as they were last fetched, or the own ones of a repository that has none from elsewhere.
func (f *auditFlags) clone(h *history, dir string) error {
	if err := f.repo.checkPath(); err != nil {
		return err
	}
	clone, err := openAnyClone(dir)
	if errors.Is(err, remote.ErrNoClone) {
		return usageError{fmt.Errorf("%s is in no Git repository; go into a clone, name its folder, or give --repo URL", dir)}
	}
	if err != nil {
		return err
	}
	tip := func(branch string) (id string, fetched bool, err error) {
		for _, ref := range []string{"refs/remotes/origin/", "refs/heads/"} {
			id, err := clone.Resolve(ref + branch)
			if err == nil || !errors.Is(err, remote.ErrMissing) {
				return id, ref == "refs/remotes/origin/", err
			}
		}
		return "", false, nil
	}
	var fetched bool
	if h.Tip, fetched, err = tip(f.repo.ref); err != nil {
		return err
	}
	if h.Tip == "" {
		return fmt.Errorf("the repository %s has no branch %s; give --ref, or run git fetch", clone.Top(), f.repo.ref)
	}
	if h.LedgerTip, _, err = tip(execute.Branch); err != nil {
		return err
	}
	h.History, h.where = clone, clone.Top()
	if fetched {
		h.where += ", as it was last fetched"
	}
	if h.LedgerTip == "" && f.repo.note != nil {
		f.repo.note(fmt.Sprintf("no branch %s in %s; if its origin has one: git fetch origin +refs/heads/%[1]s:refs/remotes/origin/%[1]s", execute.Branch, clone.Top()))
	}
	return nil
}

// openAnyClone opens the repository of a working tree, or a bare one.
func openAnyClone(dir string) (*remote.Clone, error) {
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err == nil && isDir(filepath.Join(dir, "objects")) && isDir(filepath.Join(dir, "refs")) {
		return remote.OpenStore(dir)
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no folder %s", dir)
	}
	return remote.OpenClone(dir)
}
