package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/spec"
)

func newValidate() *cobra.Command {
	var env string
	cmd := &cobra.Command{
		Use:   "validate [DIR]",
		Short: "Check a spec repository and report every problem in it",
		Long: "Check the files of DIR (default: this folder), whether they are committed or not. Every problem is printed as\n" +
			"file:line:column, what is wrong, and what to do. Nothing is contacted and nothing is run.",
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			fleet, problems, err := loadDir(cmd.Context(), dir, env)
			if err != nil {
				return err
			}
			for _, p := range problems {
				fmt.Fprintln(cmd.OutOrStdout(), p)
			}
			if problems.HasErrors() {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: not valid\n", dir)
				return errSilent
			}
			for _, r := range fleet.Resources {
				if text := r.NotYetReconciled(); text != "" {
					fmt.Fprintf(cmd.ErrOrStderr(), "note: %s: %s\n", r.Ref, text)
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: valid, %d resources, %s\n", dir, len(fleet.Resources), fleet.Digest)
			return nil
		},
	}
	addEnvFlag(cmd, &env)
	return cmd
}

// loadDir loads the spec repository in a folder of this machine.
func loadDir(ctx context.Context, dir, env string) (*spec.Fleet, spec.Problems, error) {
	root, err := os.OpenRoot(dir) // It cannot be left, through a symbolic link or otherwise.
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("no folder %s", dir)
		}
		return nil, nil, err
	}
	defer root.Close()
	fleet, problems := spec.Load(root.FS(), spec.LoadOptions{Env: env, Jsonnet: evaluator(ctx)})
	return fleet, problems, nil
}
