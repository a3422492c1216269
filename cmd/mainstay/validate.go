package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler/remote"
	"github.com/mainstay-dev/mainstay/spec"
)

func newValidate() *cobra.Command {
	var env, revision, output string
	cmd := &cobra.Command{
		Use:   "validate [DIR]",
		Short: "Check a spec repository and report every problem in it",
		Long: "Check the files of DIR (default: this folder), whether they are committed or not, or with --revision those of a commit.\n" +
			"Every problem is printed as file:line:column, what is wrong, and what to do. Nothing is contacted and nothing is run.\n\n" +
			"Without --env everything is checked: what is declared, and then what each overlay makes of it. A problem that is there\n" +
			"with an overlay alone says with which. The digest is that of what is declared without one.\n\n" +
			"Exit status: 0 valid, even with warnings; 1 not valid; 2 the command line makes no sense.",
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			print, err := findingsPrinter(output, dir)
			if err != nil {
				return err
			}
			if err := notEmpty(cmd, "revision"); err != nil {
				return err
			}
			f, err := find(cmd.Context(), dir, revision, env)
			if err != nil {
				return err
			}
			if err := print(cmd.OutOrStdout(), cmd.ErrOrStderr(), f); err != nil {
				return err
			}
			if !f.Valid {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: not valid\n", dir)
				return errSilent
			}
			return nil
		},
	}
	addEnvFlag(cmd, &env)
	cmd.Flags().StringVar(&revision, "revision", "", "check this `revision` of the clone that DIR is in: a branch, a tag or a commit")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "the `format`: text, json, sarif (SARIF 2.1.0) or github (annotations of a workflow)")
	return cmd
}

// find checks a folder, as it stands or at a revision: in one environment, or without one and in each that there is.
func find(ctx context.Context, dir, revision, env string) (*findings, error) {
	l := &loading{}
	if revision != "" {
		var err error
		if l.files, err = committed(dir, revision); err != nil {
			return nil, err
		}
	} else {
		files, err := openFolder(dir)
		if err != nil {
			return nil, err
		}
		defer files.root.Close()
		l.files = files
	}
	fleet, problems, err := l.load(ctx, env)
	if err != nil {
		return nil, err
	}
	f := newFindings(fleet, problems)
	if env != "" {
		return f, nil
	}
	for _, env := range l.environments() {
		if _, problems, err = l.load(ctx, env); err != nil {
			return nil, err
		}
		f.with(env, problems)
	}
	return f, nil
}

// committed is a folder as it is at a revision of the clone that holds it.
func committed(dir, revision string) (fs.FS, error) {
	clone, err := remote.OpenClone(dir)
	if errors.Is(err, remote.ErrNoClone) {
		return nil, usageError{fmt.Errorf("%s is in no Git repository, so that there is no revision: leave --revision out", dir)}
	}
	if err != nil {
		return nil, err
	}
	within, err := clone.Within(dir)
	if err != nil {
		return nil, err
	}
	commit, err := clone.Resolve(revision)
	if errors.Is(err, remote.ErrMissing) {
		return nil, fmt.Errorf("there is no revision %s in %s; fetch it", spec.Visible(revision), clone.Top())
	}
	if err != nil {
		return nil, err
	}
	files, err := folderAt(clone, commit, within)
	if err == nil && files == nil {
		err = fmt.Errorf("there is no folder %s at %s", within, spec.Visible(revision))
	}
	return files, err
}

// findingsPrinter returns what writes findings in a format: all of it to out, but for text, whose notes go to notes.
func findingsPrinter(format, dir string) (func(out, notes io.Writer, f *findings) error, error) {
	switch format {
	case "text":
		return func(out, notes io.Writer, f *findings) error {
			for _, p := range f.Problems {
				fmt.Fprintln(out, p)
			}
			for _, n := range f.Notes {
				fmt.Fprintf(notes, "note: %s\n", n.text())
			}
			return f.sum(out, dir)
		}, nil
	case "json":
		return func(out, _ io.Writer, f *findings) error { return printItems(out, format, f) }, nil
	case "sarif":
		return func(out, _ io.Writer, f *findings) error { return printItems(out, "json", f.sarif(checkedOut(dir))) }, nil
	case "github":
		return func(out, _ io.Writer, f *findings) error {
			return errors.Join(f.github(out, checkedOut(dir)), f.sum(out, dir))
		}, nil
	}
	return nil, usageError{fmt.Errorf("unknown output format %q; use text, json, sarif or github", format)}
}

// loadDir loads the spec repository in a folder of this machine.
func loadDir(ctx context.Context, dir string, opts spec.LoadOptions) (*spec.Fleet, spec.Problems, error) {
	f, err := openFolder(dir)
	if err != nil {
		return nil, nil, err
	}
	defer f.root.Close()
	opts.Jsonnet = evaluator(ctx)
	fleet, problems := spec.Load(f, opts)
	if ctx.Err() != nil { // What a program was told then is no problem of the files.
		return nil, nil, ctx.Err()
	}
	return fleet, problems, nil
}
