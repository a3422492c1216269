package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler/plan"
	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/reconciler/source"
	"github.com/mainstay-dev/mainstay/spec"
)

func newPlan(env environment) *cobra.Command {
	var (
		repo     repoFlags
		state    string
		against  string
		output   string
		exitCode bool
	)
	cmd := &cobra.Command{
		Use:   "plan [DIR]",
		Short: "Show what a change does to behaviour: tools, permissions, instructions, runs and actions",
		Long: "Show what becomes of agents when what is declared takes the place of something else. What is declared is the folder DIR\n" +
			"as it stands, or with --repo the branch of a repository. Nothing is changed, and no model, tool or cluster is asked.\n\n" +
			"Without --against it is compared with what runs, as the daemon says, or else its state folder (--state, or the one of\n" +
			"--repo); where there is neither, nothing runs. The steps come first: what would be started, replaced, stopped and\n" +
			"executed.\n\n" +
			"--against compares it with a revision, such as origin/main, of the Git repository that holds DIR (with --repo: a branch\n" +
			"or a commit of that one), or with another folder. A revision is read from Git's objects: nothing is checked out and\n" +
			"nothing is fetched. The two trees are compared as they are, as `git diff A B` does; `git diff A...B` would start at\n" +
			"their merge base. A side without mainstay.yaml declares nothing, so that everything is new.\n\n" +
			"Permissions that become more are marked with !, and so are those of which that cannot be told.\n\n" +
			"With --exit-code the exit code is 0 if nothing changes, 2 if something does, and 1 for every error.",
		Example: "  mainstay plan                                        # this folder, and what runs nowhere yet\n" +
			"  mainstay plan --state STATE                          # this folder, and what runs\n" +
			"  mainstay plan --against origin/main                  # what this branch changes\n" +
			"  mainstay plan --against origin/main -o markdown      # the same, as a comment for its pull request\n" +
			"  mainstay plan --env prod --against ../before         # two folders, with the overlay prod on both sides",
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case repo.repo != "" && len(args) == 1:
				return usageError{errors.New("give DIR or --repo, not both")}
			case against != "" && state != "":
				return usageError{errors.New("give --against or --state, not both: --state says what runs, which --against takes the place of")}
			case cmd.Flags().Changed("against") && against == "":
				return usageError{errors.New("--against names nothing: give a revision, such as origin/main, or a folder")}
			case output != "" && output != "json" && output != "yaml" && output != "markdown":
				return usageError{fmt.Errorf("unknown output format %q; use json, yaml or markdown", output)}
			}
			p := planner{env: env, repo: &repo}
			var err error
			if p.declared, err = declaredIn(cmd.Context(), env, &repo, args); err != nil {
				return err
			}
			defer p.declared.close()
			var change *plan.Change
			if against != "" {
				change, err = p.against(cmd.Context(), against)
			} else {
				change, err = p.running(cmd.Context(), state)
			}
			if err != nil {
				return err
			}
			p.noteGlobs()
			change.After.Name, change.Notes = p.declared.name, append(change.Notes, p.notes...)
			switch output {
			case "":
				err = writePlan(cmd.OutOrStdout(), change)
			case "markdown":
				_, err = cmd.OutOrStdout().Write([]byte(planMarkdown(change, maxComment)))
			default:
				err = printItems(cmd.OutOrStdout(), output, change)
			}
			if err == nil && exitCode && !change.Empty() {
				return errChanges
			}
			return err
		},
	}
	repo.add(cmd)
	repo.addEnv(cmd)
	addStateFlag(cmd, &state)
	cmd.Flags().Lookup("state").Usage = "the state `folder` of the daemon (default: the one of --repo)"
	cmd.Flags().StringVar(&against, "against", "", "compare with a `REVISION` or folder instead of what runs")
	cmd.Flags().StringVarP(&output, "output", "o", "", "the `format`: json, yaml or markdown instead of text; markdown is for a comment in a pull request")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 0 if nothing changes, 2 if something does, and 1 for every error")
	return cmd
}

// declared is what the files of a folder, or of the tip of a branch, declare.
type declared struct {
	// loading loads the folder that holds mainstay.yaml, and has loaded fleet.
	*loading
	fleet *spec.Fleet
	// name says what it is, for people.
	name string
	// dir is the folder, and "" where it is the tip of a branch. Then source has read it, and seen it is.
	dir    string
	source *source.Source
	remote *remote.Remote
	seen   source.Observation
	close  func()
}

// declaredIn loads a folder, or the tip of a branch. Close what it returns.
func declaredIn(ctx context.Context, env environment, repo *repoFlags, args []string) (*declared, error) {
	if repo.repo == "" {
		dir := "."
		if len(args) == 1 {
			dir = args[0]
		}
		dir = filepath.Join(dir, repo.path)
		files, err := openFolder(dir)
		if err != nil {
			return nil, err
		}
		d := &declared{loading: &loading{files: files}, name: dir, dir: dir, close: func() { _ = files.root.Close() }} // It was only read.
		return d.loaded(ctx, repo.env)
	}
	if err := repo.resolve(); err != nil {
		return nil, err
	}
	rem, err := openRemote(ctx, env, repo.repo, "")
	if err != nil {
		return nil, err
	}
	d := &declared{remote: rem, close: func() { _ = rem.Close() }} // It was only read.
	d.source, err = source.New(source.Options{Remote: rem, Branch: repo.ref, Path: repo.path})
	if err == nil {
		d.seen, err = d.source.Observe(ctx)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	d.loading, d.name = &loading{files: d.seen.Tree}, d.seen.Revision.Short()
	return d.loaded(ctx, repo.env)
}

// loaded is d with its fleet. Where it has none, it is closed.
func (d *declared) loaded(ctx context.Context, env string) (*declared, error) {
	fleet, problems, err := d.load(ctx, env)
	if err = errors.Join(err, problems.Err()); err != nil {
		d.close()
		return nil, err
	}
	d.fleet = fleet
	return d, nil
}
