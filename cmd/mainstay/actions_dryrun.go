package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mainstay-dev/mainstay/reconciler"
	"github.com/mainstay-dev/mainstay/spec"
)

func newDryRun(env environment) *cobra.Command {
	var (
		repo          = repoFlags{here: true}
		state, output string
	)
	cmd := &cobra.Command{
		Use:   "dry-run ACTION|FILE",
		Short: "Say what executing an action would do now, and what keeps it from being executed",
		Long: "Go through all that is checked before an action is executed: ledger, approval, expiry, tool, suspension, order, windows,\n" +
			"limits, precondition and schema. ACTION is on the branch; FILE is an action's file that need not be merged, such as one\n" +
			"of a proposal's branch that you have checked out. The precondition's tool is called, which only reads; so the tool server\n" +
			"is started here, with the secrets of your environment. Nothing is claimed, and no tool that writes is called.\n\n" +
			"Exit codes: 0 it would be executed now, 1 it would not.",
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := dryRun(cmd.Context(), env, &repo, state, args[0])
			if err != nil {
				return err
			}
			if output != "" {
				err = printItems(cmd.OutOrStdout(), output, d)
			} else {
				err = tellDryRun(cmd.OutOrStdout(), d)
			}
			if err == nil && !d.Executes {
				return errSilent
			}
			return err
		},
	}
	repo.add(cmd)
	repo.addEnv(cmd)
	addStateFlag(cmd, &state)
	cmd.Flags().Lookup("state").Usage = "the state `folder` that tells what is suspended at once (default: the one of --repo, if there is one)"
	addOutputFlag(cmd, &output)
	return cmd
}

// dryRun makes a reconciler in a folder of its own, which executes nothing and is gone afterwards.
func dryRun(ctx context.Context, env environment, repo *repoFlags, state, arg string) (d reconciler.DryRun, err error) {
	if err := repo.resolve(); err != nil {
		return d, err
	}
	id, file, err := readAction(arg)
	if err != nil {
		return d, err
	}
	suspended, err := suspendedIn(ctx, repo, state)
	if err != nil {
		return d, err
	}
	dir, err := os.MkdirTemp("", "mainstay-dry-run-")
	if err != nil {
		return d, err
	}
	defer os.RemoveAll(dir)
	w, err := wire(ctx, env, wiring{repo: *repo, state: stateFlags{dir: dir}, interval: time.Second, log: slog.New(slog.DiscardHandler),
		observe: func(reconciler.Event) {}, getenv: os.LookupEnv})
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, w.close(context.WithoutCancel(ctx))) }()
	return w.DryRun(ctx, id, file, suspended)
}

// readAction reads the file of an action, where the argument is one.
func readAction(arg string) (spec.ActionID, []byte, error) {
	base, isFile := strings.CutSuffix(filepath.Base(arg), ".yaml")
	if !isFile {
		return spec.ActionID(arg), nil, nil
	}
	content, err := os.ReadFile(arg)
	return spec.ActionID(base), content, err
}

// suspendedIn reads what is suspended at once from a state folder, or from that of the repository, if there is one. Without one
// it notes that.
func suspendedIn(ctx context.Context, repo *repoFlags, state string) ([]reconciler.Suspension, error) {
	if state == "" {
		dir, err := defaultState(repo.repo, repo.ref, repo.path)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(filepath.Join(dir, "store")); err != nil {
			if repo.note != nil {
				repo.note("no state folder was found, so only what Git suspends is known; --state names that of a daemon")
			}
			return nil, nil //nolint:nilerr // Nothing has run here.
		}
		state = dir
	}
	r, err := openReader(ctx, state)
	if err != nil {
		return nil, err
	}
	defer r.close()
	s, err := r.status(ctx)
	return s.Suspended, err
}

func tellDryRun(w io.Writer, d reconciler.DryRun) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s\nwould call %s of ToolServer/%s, once, with", d.Summary, d.Tool, d.Server)
	if len(d.Arguments) == 0 {
		text.WriteString(" no arguments")
	}
	text.WriteString("\n")
	for _, name := range slices.Sorted(maps.Keys(d.Arguments)) {
		value, ok := d.Arguments[name].(string)
		if !ok {
			raw, err := spec.Canonical(d.Arguments[name])
			if err != nil {
				return err
			}
			value = string(raw)
		}
		fmt.Fprintf(&text, "  %s: %s\n", name, value)
	}
	text.WriteString("\n")
	tw := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	fmt.Fprintln(tw, "CHECK\tVERDICT\tWHY")
	for _, c := range d.Checks {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", c.Name, c.Verdict, strings.ReplaceAll(c.Message, "\n", " "))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if d.Executes {
		text.WriteString("\nit would be executed now\n")
	} else {
		text.WriteString("\nit would not be executed now\n")
	}
	_, err := io.WriteString(w, spec.Visible(text.String()))
	return err
}
