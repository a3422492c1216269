package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/spec"
)

func newActions(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "actions",
		Short: "Try what executing an action would do, and decide about one whose outcome nobody knows",
		Long: "An action that was started and has no receipt is unknown: its effect may have happened or not, and it is never started\n" +
			"again by itself. `mainstay get actions` lists them.",
	}
	cmd.AddCommand(newResolve(env), newDryRun(env))
	return cmd
}

func newResolve(env environment) *cobra.Command {
	var (
		repo          = repoFlags{here: true}
		person        personFlags
		done, abandon bool
		reason        string
	)
	cmd := &cobra.Command{
		Use:   "resolve ACTION --done|--abandon --reason TEXT",
		Short: "Say what became of an unknown action, signed with your key; the run that waits for it is told",
		Long: "Look in the world itself whether the effect happened, and record it on mainstay/ledger, signed with your own key: one\n" +
			"of the approvers that mainstay.yaml lists. It is final, and nothing is executed. To have an abandoned action after\n" +
			"all, let the agent propose it again.",
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if done == abandon {
				return usageError{errors.New("give --done if the effect happened, or --abandon if it did not and need not any more")}
			}
			if reason == "" {
				return usageError{errors.New("give --reason; it is kept in the ledger, and the agent is told")}
			}
			outcome := spec.OutcomeDone
			if abandon {
				outcome = spec.OutcomeAbandoned
			}
			signer, err := person.resolve()
			if err != nil {
				return err
			}
			rem, ledger, _, err := openDecisions(cmd.Context(), env, &repo, person)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, rem.Close()) }()
			by := execute.Person{Name: person.name, Email: person.email, Signer: signer}
			if err := ledger.Resolve(cmd.Context(), spec.ActionID(args[0]), outcome, reason, by); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "resolved %s as %s: %s\n", args[0], outcome, reason)
			return err
		},
	}
	repo.add(cmd)
	person.add(cmd)
	cmd.Flags().BoolVar(&done, "done", false, "the effect happened")
	cmd.Flags().BoolVar(&abandon, "abandon", false, "the effect did not happen, or nobody will ever know")
	cmd.Flags().StringVar(&reason, "reason", "", "how you know, in a `sentence`")
	return cmd
}
