package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler/execute"
	"github.com/mainstay-dev/mainstay/spec"
)

func newActions(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "actions",
		Short: "Try what executing an action would do, and decide about one whose outcome nobody knows",
		Long: "An action that was started and has no receipt is unknown: its effect may have happened or not, and it is never started\n" +
			"again by itself unless its tool is declared idempotent. `mainstay get actions` lists them, and `mainstay describe action`\n" +
			"shows one in full.",
	}
	cmd.AddCommand(newResolve(env), newDryRun(env))
	return cmd
}

func newResolve(env environment) *cobra.Command {
	var (
		repo                 = repoFlags{here: true}
		person               personFlags
		done, retry, abandon bool
		reason               string
	)
	cmd := &cobra.Command{
		Use:   "resolve ACTION --done|--retry|--abandon --reason TEXT",
		Short: "Say what became of an unknown action, signed with your key; the run that waits for it is told",
		Long: "Look in the world itself whether the effect happened, and record it on mainstay/ledger, signed with your own key: one\n" +
			"of the approvers that mainstay.yaml lists. With --retry a reconciler starts the action once more, and only once, if you\n" +
			"may approve it and it has not expired; that is possible an hour after the deadline of the start, since by a clock that is an\n" +
			"hour behind the call may be under way until then. The others are final, and nothing is executed. To have an abandoned action\n" +
			"after all, let the agent propose it again.",
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			outcome, given := "", 0
			for _, flag := range []struct {
				set     bool
				outcome string
			}{{done, spec.OutcomeDone}, {retry, spec.OutcomeRetry}, {abandon, spec.OutcomeAbandoned}} {
				if flag.set {
					outcome = flag.outcome
					given++
				}
			}
			if given != 1 {
				return usageError{errors.New("give one of --done if the effect happened, --retry if it did not and is to be started once more, or --abandon if it did not and need not any more")}
			}
			if strings.TrimSpace(reason) == "" {
				return usageError{errors.New("give --reason; it is kept in the ledger, and the agent is told")}
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
			fmt.Fprintf(cmd.OutOrStdout(), "resolved %s as %s: %s\n", args[0], outcome, reason)
			if retry {
				fmt.Fprintln(cmd.OutOrStdout(), "a reconciler starts it once more with its next look; `mainstay get actions` shows how that ends")
			}
			return nil
		},
	}
	repo.add(cmd)
	person.add(cmd)
	cmd.Flags().BoolVar(&done, "done", false, "the effect happened")
	cmd.Flags().BoolVar(&retry, "retry", false, "the effect did not happen, and the action may be started once more")
	cmd.Flags().BoolVar(&abandon, "abandon", false, "the effect did not happen, or nobody will ever know")
	cmd.Flags().StringVar(&reason, "reason", "", "how you know, in a `sentence`")
	return cmd
}
