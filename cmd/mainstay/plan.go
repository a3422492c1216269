package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/reconciler/source"
	"github.com/mainstay-dev/mainstay/spec"
)

func newPlan(env environment) *cobra.Command {
	var (
		repo   repoFlags
		state  string
		output string
	)
	cmd := &cobra.Command{
		Use:   "plan [DIR]",
		Short: "Show what would be started, replaced, stopped and executed",
		Long: "Compare what runs with what is declared, and print the steps between them. What is declared is the folder DIR as it\n" +
			"stands, or with --repo the branch of a repository. What runs is read from the daemon, or from its state folder; with\n" +
			"neither, nothing runs. Nothing is changed.",
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if repo.repo != "" && len(args) == 1 {
				return usageError{errors.New("give DIR or --repo, not both")}
			}
			declared, err := declaredIn(cmd.Context(), env, &repo, args)
			if err != nil {
				return err
			}
			defer declared.close()
			observed, err := observedIn(cmd.Context(), &repo, state)
			if err != nil {
				return err
			}
			steps := plan.Diff(observed, declared.fleet)
			if output != "" {
				return printItems(cmd.OutOrStdout(), output, steps)
			}
			for _, s := range steps {
				fmt.Fprintln(cmd.OutOrStdout(), s)
			}
			if len(steps) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing to do: what runs is what is declared")
			}
			return nil
		},
	}
	repo.add(cmd)
	repo.addEnv(cmd)
	addStateFlag(cmd, &state)
	addOutputFlag(cmd, &output)
	return cmd
}

// declared is what the files of a folder, or of the tip of a branch, declare.
type declared struct {
	fleet *spec.Fleet
	// files are those of the folder that holds mainstay.yaml.
	files fs.FS
	close func()
}

// declaredIn loads a folder, or the tip of a branch. Close what it returns.
func declaredIn(ctx context.Context, env environment, repo *repoFlags, args []string) (*declared, error) {
	if repo.repo == "" {
		dir := "."
		if len(args) == 1 {
			dir = args[0]
		}
		dir = filepath.Join(dir, repo.path)
		fleet, problems, err := loadDir(ctx, dir, repo.env)
		return &declared{fleet, os.DirFS(dir), func() {}}, errors.Join(err, problems.Err())
	}
	if err := repo.resolve(); err != nil {
		return nil, err
	}
	rem, err := openRemote(ctx, env, repo.repo, "")
	if err != nil {
		return nil, err
	}
	d := &declared{close: func() { _ = rem.Close() }} // It was only read.
	src, err := source.New(source.Options{Remote: rem, Branch: repo.ref, Path: repo.path})
	if err == nil {
		var seen source.Observation
		if seen, err = src.Observe(ctx); err == nil {
			var problems spec.Problems
			d.files = seen.Tree
			d.fleet, problems = spec.Load(seen.Tree, spec.LoadOptions{Env: repo.env, Jsonnet: evaluator(ctx)})
			err = problems.Err()
		}
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// observedIn reads what runs: from the state folder given, or from the repository's own where there is one.
func observedIn(ctx context.Context, repo *repoFlags, state string) (plan.Observed, error) {
	if state == "" && repo.repo != "" {
		dir, err := defaultState(repo.repo, repo.ref, repo.path)
		if err != nil {
			return plan.Observed{}, err
		}
		if _, err := os.Stat(dir); err == nil {
			state = dir
		}
	}
	if state == "" {
		return plan.Observed{}, nil
	}
	dir, err := findState(state)
	if err != nil {
		return plan.Observed{}, err
	}
	r, err := openReader(ctx, dir)
	if err != nil {
		return plan.Observed{}, err
	}
	defer r.close()
	s, err := r.status(ctx)
	if err != nil {
		return plan.Observed{}, err
	}
	return reconciler.Observed(s, r.live), nil
}
