package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	runs "github.com/mainstay-dev/mainstay/reconciler/run"
	"github.com/mainstay-dev/mainstay/reconciler/serve"
	"github.com/mainstay-dev/mainstay/spec"
)

func newRunsCancel(env environment) *cobra.Command {
	var state, reason, output string
	cmd := &cobra.Command{
		Use:   "cancel RUN",
		Short: "End a run, and all runs that work on tasks it has given to other agents",
		Long: "End a run that works, waits or is queued, and all runs beneath it. RUN is its id, the beginning of one, or `latest`.\n" +
			"The record says that you did it, and why. What was done stays done. Proposals stay open: reject those that you do not\n" +
			"want. A run that was given its task by another one answers that one with the news, and that one goes on.\n\n" +
			"The daemon of the state folder does it; where none runs, it is written into the folder. Runs that wait on the branch\n" +
			"mainstay/runs alone are in no state folder before a daemon has taken them over.",
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := findState(state)
			if err != nil {
				return err
			}
			r, err := openReader(cmd.Context(), dir)
			if err != nil {
				return err
			}
			defer r.close()
			id, err := r.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			c, err := r.cancel(cmd.Context(), env, id, account(), reason)
			if errors.Is(err, fs.ErrNotExist) {
				return r.noRun(cmd.Context(), args[0])
			}
			if err != nil {
				return err
			}
			if output != "" {
				return printItems(cmd.OutOrStdout(), output, c)
			}
			return tellCancelled(cmd.OutOrStdout(), c)
		},
	}
	addStateFlag(cmd, &state)
	addOutputFlag(cmd, &output)
	cmd.Flags().StringVar(&reason, "reason", "", "why, in a `sentence`; the record keeps it")
	return cmd
}

func tellCancelled(w io.Writer, c runs.Cancellation) error {
	if !c.News {
		o := c.Run.Outcome
		return fmt.Errorf("run %s of %s has ended already: %s", c.Run.Run, c.Run.Agent,
			spec.Visible(strings.Join(strings.Fields(strings.TrimRight(o.Phase+": "+whyEnded(*o), ": ")), " ")))
	}
	fmt.Fprintf(w, "cancelled run %s of %s\n", c.Run.Run, c.Run.Agent)
	for _, below := range c.Beneath {
		fmt.Fprintf(w, "cancelled run %s of %s, which worked for it\n", below.Run, below.Agent)
	}
	if len(c.Open) > 0 {
		fmt.Fprintln(w, "still open, and no run waits for the answer any more:")
	}
	for _, p := range c.Open {
		fmt.Fprintf(w, "  %s proposals reject %s --reason TEXT    # %s\n", program(), p.Key, spec.Visible(p.Title))
	}
	return nil
}

// account is who uses this machine: whoever may open a state folder.
func account() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return cmp.Or(os.Getenv("USER"), fmt.Sprintf("uid %d", os.Getuid()))
}

// notThere makes the error of a run that is not there one that travels.
func notThere(c runs.Cancellation, err error) (runs.Cancellation, error) {
	if errors.Is(err, runs.ErrNoRecord) {
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return c, err
}

// cancel has the daemon cancel a run, or does so in the folder where no daemon runs.
func (r *reader) cancel(ctx context.Context, env environment, id spec.RunID, by, why string) (runs.Cancellation, error) {
	if !r.live {
		return notThere(reconciler.CancelStored(ctx, r.store, env.clock(), id, by, why))
	}
	var c runs.Cancellation
	err := r.client.Cancel(ctx, id, serve.Cancel{By: by, Reason: why}, &c)
	return c, err
}
