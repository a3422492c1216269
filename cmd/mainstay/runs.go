package main

import "github.com/spf13/cobra"

func newRuns(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "runs",
		Short: "Cancel runs",
		Args:  arguments(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRunsCancel(env))
	return cmd
}
