package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/spec"
)

func newValidate() *cobra.Command {
	var env, output string
	cmd := &cobra.Command{
		Use:   "validate [DIR]",
		Short: "Check a spec repository and report every problem in it",
		Long: "Check the files of DIR (default: this folder), whether they are committed or not. Every problem is printed as\n" +
			"file:line:column, what is wrong, and what to do. Nothing is contacted and nothing is run.\n\n" +
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
			fleet, problems, err := loadDir(cmd.Context(), dir, env)
			if err != nil {
				return err
			}
			f := newFindings(fleet, problems)
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
	cmd.Flags().StringVarP(&output, "output", "o", "text", "the `format`: text, json, sarif (SARIF 2.1.0) or github (annotations of a workflow)")
	return cmd
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
				fmt.Fprintf(notes, "note: %s\n", problemText(n))
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
func loadDir(ctx context.Context, dir, env string) (*spec.Fleet, spec.Problems, error) {
	return loadDirWith(dir, spec.LoadOptions{Env: env, Jsonnet: evaluator(ctx)})
}

func loadDirWith(dir string, opts spec.LoadOptions) (*spec.Fleet, spec.Problems, error) {
	root, err := os.OpenRoot(dir) // It cannot be left, through a symbolic link or otherwise.
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("no folder %s", dir)
		}
		return nil, nil, err
	}
	defer root.Close()
	fleet, problems := spec.Load(root.FS(), opts)
	return fleet, problems, nil
}
